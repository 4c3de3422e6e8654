"""Gives transformers back the task that it removed."""

import sys
import threading

TASK = "question-answering"

_LOCK = threading.Lock()
# What transformers 4 loaded where no model was named.
_DEFAULT_MODEL = ("distilbert/distilbert-base-cased-distilled-squad", "564e9b5")


def register() -> None:
    """Make `transformers.pipeline("question-answering", ...)` work again under transformers 5.

    It, and `from transformers import QuestionAnsweringPipeline`, then give `QuestionAnsweringPipeline`, with the calls
    and the results of transformers 4. Calling this again, or from several threads, does no harm.

    ### Usage example

    ```python
    import lodestone
    from transformers import pipeline

    lodestone.register()
    answer = pipeline("question-answering", model="deepset/roberta-base-squad2")
    answer(question="Who built the lighthouse?", context="The lighthouse was built by Ida Holm in 1911.")
    ```
    """
    import transformers
    from transformers import AutoModelForQuestionAnswering, pipelines

    from lodestone.components.readers.question_answering_pipeline import QuestionAnsweringPipeline

    with _LOCK:
        registry = pipelines.PIPELINE_REGISTRY
        if registry.supported_tasks.get(TASK, {}).get("impl") is not QuestionAnsweringPipeline:
            registry.supported_tasks.pop(TASK, None)
            registry.register_pipeline(
                TASK,
                QuestionAnsweringPipeline,
                pt_model=AutoModelForQuestionAnswering,
                default={"model": _DEFAULT_MODEL},
                type="text",
            )
            # With it `save_pretrained` would write our code beside the weights, to be loaded as remote code.
            delattr(QuestionAnsweringPipeline, "_registered_impl")
        getattr(pipelines, "REMOVED_TASKS", {}).pop(TASK, None)
        # transformers puts a second module in its own place when its pipelines are imported.
        for module in (transformers, sys.modules["transformers"], pipelines):
            vars(module)["QuestionAnsweringPipeline"] = QuestionAnsweringPipeline
