"""Every kind of mistake is found, at its line, with what would be right; what is right is never a mistake."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from haystack import Pipeline
from hypothesis import given, settings
from hypothesis import strategies as st

from lodestone.pipelines import check, parse_definition, read_definition

TRUSTED = "lodestone, haystack, haystack_integrations, haystack_experimental, builtins, typing and collections"
JOINER = "haystack.components.joiners.document_joiner.DocumentJoiner"
CLEANER = "haystack.components.preprocessors.document_cleaner.DocumentCleaner"
STORE = "haystack.document_stores.in_memory.document_store.InMemoryDocumentStore"
BM25 = "haystack.components.retrievers.in_memory.bm25_retriever.InMemoryBM25Retriever"
CLEANER_PARAMETERS = (
    "remove_empty_lines, remove_extra_whitespaces, remove_repeated_substrings, keep_id, remove_substrings, "
    "remove_regex, unicode_normalization, ascii_only, strip_whitespaces, replace_regexes, min_content_length"
)


def problems_of(text: str) -> list[str]:
    return [str(problem) for problem in check(parse_definition(text, "x.yaml"))]


def component(kind: str, **parameters: Any) -> str:
    return yaml.safe_dump({"components": {"it": {"type": kind, "init_parameters": parameters}}})


def test_a_correct_definition_has_no_problems(indexing_text: str) -> None:
    assert problems_of(indexing_text) == []


@pytest.mark.parametrize(
    ("right", "wrong", "expected"),
    [
        (
            "metadata:",
            "metdata:",
            "unknown key 'metdata'; valid keys: components, connections, connection_type_validation, "
            "max_runs_per_component, metadata, inputs, outputs. Did you mean 'metadata'?",
        ),
        ("component: 10", "component: 0", "max_runs_per_component must be an integer of at least 1, got 0"),
        ("{name: indexing}", "indexing", "metadata must be a mapping, got 'indexing'"),
        (
            "DocumentCleaner",
            "DocumentCleanr",
            "the component 'cleaner': 'haystack.components.preprocessors.document_cleaner' has no class "
            "'DocumentCleanr'. Did you mean 'DocumentCleaner'? Valid classes: DocumentCleaner",
        ),
        (
            "writers.document_writer.DocumentWriter",
            "writers.DocumentWriter",
            "the component 'writer': 'DocumentWriter' is defined elsewhere: write "
            "'haystack.components.writers.document_writer.DocumentWriter'",
        ),
        (
            "joiners.document_joiner",
            "joiners.document_joinr",
            "the component 'joiner': there is no module 'haystack.components.joiners.document_joinr'. Did you "
            "mean 'document_joiner'? haystack.components.joiners has answer_joiner, branch, document_joiner, "
            "list_joiner, string_joiner",
        ),
        (
            "type: haystack.components.converters.html.HTMLToDocument",
            "typ: haystack.components.converters.html.HTMLToDocument",
            "the component 'html' has an unknown key 'typ'; valid keys: type, init_parameters. Did you mean 'type'?",
        ),
        (
            "remove_empty_lines: true",
            "remove_empty_line: true",
            f"DocumentCleaner has no parameter 'remove_empty_line'; valid parameters: {CLEANER_PARAMETERS}. Did "
            "you mean 'remove_empty_lines'?",
        ),
        (
            "lines: true",
            "lines: 'true'",
            "remove_empty_lines of DocumentCleaner must be true or false, got 'true'. Write it without quotes.",
        ),
        (
            "NFC",
            "NFX",
            "unicode_normalization of DocumentCleaner must be one of 'NFC', 'NFKC', 'NFD', 'NFKD' or null, got "
            "'NFX'. Did you mean 'NFD'?",
        ),
        (
            "top_k: null",
            "top_k: ten",
            "top_k of DocumentJoiner must be an integer or null, got 'ten'.",
        ),
        (
            "OVERWRITE",
            "OVERWRIT",
            "policy of DocumentWriter must be one of 'NONE', 'SKIP', 'OVERWRITE', 'FAIL', got 'OVERWRIT'. Did you "
            "mean 'OVERWRITE'?",
        ),
        (
            "algorithm: BM25L",
            "algorithm: BM25",
            "bm25_algorithm of InMemoryDocumentStore must be one of 'BM25Okapi', 'BM25L', 'BM25Plus', got 'BM25'. "
            "Did you mean 'BM25L'?",
        ),
        (
            "InMemoryDocumentStore",
            "InMemoryStore",
            "'document_store': 'haystack.document_stores.in_memory.document_store' has no class 'InMemoryStore'. "
            "Did you mean 'InMemoryDocumentStore'?",
        ),
        (
            "      mime_types: [text/plain, text/html]",
            "      mime_types: text/plain",
            "mime_types of FileTypeRouter must be a list (each item text), got 'text/plain'.",
        ),
        (
            "[text/plain, text/html]",
            "[text/plain, text/html, 5]",
            "mime_types of FileTypeRouter must be a list (each item text), got 5 in it.",
        ),
        (
            "join_mode: concatenate",
            "join_mode: concat",
            "DocumentJoiner cannot be built: Unknown join mode 'concat'.",
        ),
        (
            "text.documents, receiver: joiner.documents",
            "txt.documents, receiver: joiner.documents",
            "sender 'txt.documents': there is no component 'txt'; components: router, text, html, joiner, cleaner, "
            "writer. Did you mean 'text'?",
        ),
        (
            "router.text/html",
            "router.text/htm",
            "sender 'router.text/htm': router has no output 'text/htm'; outputs: unclassified (",
        ),
        (
            "receiver: cleaner.documents",
            "receiver: cleaner.docs",
            "receiver 'cleaner.docs': cleaner has no input 'docs'; inputs: documents (list[Document]). Did you "
            "mean 'documents'?",
        ),
        (
            "{sender: joiner.documents, receiver: cleaner.documents}",
            "{sender: joiner.documents, receiver: text.sources}",
            "cannot connect joiner.documents to text.sources: the types do not match, list[Document] is given and "
            "list[str | Path | ByteStream] is wanted.",
        ),
        (
            "{sender: cleaner, receiver: writer}",
            "{sender: cleaner, receiver: router}",
            "cannot connect cleaner to router: Cannot connect 'cleaner' with 'router': no matching connections",
        ),
        (
            "{sender: cleaner, receiver: writer}",
            "{sender: cleaner, receiver: cleaner}",
            "cannot connect cleaner to cleaner: a component cannot be connected to itself",
        ),
        (
            "{sender: cleaner, receiver: writer}",
            "{sender: cleaner, reciever: writer}",
            "a connection has an unknown key 'reciever'; valid keys: sender, receiver. Did you mean 'receiver'?",
        ),
        ("{sender: cleaner, receiver: writer}", "cleaner.documents", "a connection must be a mapping with sender"),
        ("{sender: cleaner, receiver: writer}", "{sender: 3, receiver: writer}", "sender must be component.socket"),
    ],
)
def test_a_mistake_is_reported_at_its_line_with_what_is_right(
    indexing_text: str, right: str, wrong: str, expected: str
) -> None:
    broken = indexing_text.replace(right, wrong)
    line = next(
        n for n, (a, b) in enumerate(zip(indexing_text.split("\n"), broken.split("\n"), strict=True), 1) if a != b
    )
    assert any(problem.startswith(f"x.yaml:{line}: {expected}") for problem in problems_of(broken)), problems_of(broken)


def test_all_mistakes_are_reported_by_line(indexing_text: str) -> None:
    broken = indexing_text.replace("NFC", "NFX").replace("BM25L", "BM25").replace("html.documents", "html.docs")
    assert [problem.split(":")[1] for problem in problems_of(broken)] == ["19", "27", "32"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "x.yaml:1: the definition is empty; it needs the keys components and connections"),
        ("- a\n", "x.yaml:1: the definition must be a mapping, got a list; it needs the keys components"),
        ("just text\n", "x.yaml:1: the definition must be a mapping, got 'just text'"),
        ("metadata: {}\n", "x.yaml:1: components is missing; a pipeline needs at least one component"),
        ("metadata: {}\ncomponents:\n", "x.yaml:2: components is empty"),
        ("components: [a]\n", "x.yaml:1: components must be a mapping of names to components, got a list"),
        (
            "components:\n  a:\n",
            "x.yaml:2: the component 'a' must be a mapping with type and init_parameters, got null",
        ),
        ("components:\n  a: {}\n", "x.yaml:2: the component 'a' has no type; give the full name of its class"),
        (f"components:\n  a.b: {{type: {CLEANER}}}\n", "x.yaml:2: a component cannot be named 'a.b'"),
        (f"components:\n  1: {{type: {CLEANER}}}\n", "x.yaml:2: a component cannot be named 1"),
        (
            f"components:\n  a:\n    type: {CLEANER}\n    init_parameters:\n",
            "x.yaml:4: init_parameters of DocumentCleaner is empty; write {} or leave it out",
        ),
        (
            f"components:\n  a:\n    type: {CLEANER}\n    init_parameters: [1]\n",
            "x.yaml:4: init_parameters of DocumentCleaner must be a mapping, got a list",
        ),
        (f"components:\n  a: {{type: {CLEANER}}}\nconnections: a\n", "x.yaml:3: connections must be a list"),
        (
            f"components:\n  a: {{type: {CLEANER}}}\ninputs: {{q: a.x}}\n",
            "x.yaml:3: receiver 'a.x': a has no input 'x'",
        ),
        (f"components:\n  a: {{type: {CLEANER}}}\noutputs: {{q: a}}\n", "x.yaml:3: outputs: 'q' must be component"),
        (
            f"components:\n  a: {{type: {CLEANER}}}\nconnection_type_validation: 'no'\n",
            "x.yaml:3: connection_type_validation must be true or false, got 'no'",
        ),
        ("components:\n  a: {type: 5}\n", "x.yaml:2: the component 'a': type must be the full name of a class"),
        ("components:\n  a: {type: builtins.str}\n", "x.yaml:2: the component 'a': 'builtins.str' is not a Haystack"),
        (
            f"components:\n  a: {{type: {STORE}}}\n",
            f"x.yaml:2: the component 'a': '{STORE}' is not a Haystack component.",
        ),
        (
            "components:\n  a: {type: haystack.components.writers.__init__.X}\n",
            "x.yaml:2: the component 'a': 'haystack.components.writers.__init__.X' names Python's internals",
        ),
    ],
)
def test_a_wrong_shape_is_reported(text: str, expected: str) -> None:
    assert any(problem.startswith(expected) for problem in problems_of(text)), problems_of(text)


def test_a_missing_required_parameter_is_named() -> None:
    writer = "haystack.components.writers.document_writer.DocumentWriter"
    assert problems_of(component(writer)) == [
        "x.yaml:3: DocumentWriter needs the parameter 'document_store'; valid parameters: document_store, policy"
    ]


def test_a_short_class_name_gets_the_full_one() -> None:
    check(parse_definition(component(CLEANER)))
    assert f"Did you mean '{CLEANER}'?" in problems_of(component("DocumentCleaner"))[0]


def test_what_a_constructor_refuses_points_at_its_parameter() -> None:
    parameters = f"      document_store: {{type: {STORE}}}\n      top_k: 0\n"
    text = f"components:\n  a:\n    type: {BM25}\n    init_parameters:\n{parameters}"
    assert problems_of(text) == [
        "x.yaml:6: InMemoryBM25Retriever cannot be built: top_k must be greater than 0, but got 0"
    ]


@pytest.mark.parametrize("policy", ["replace", "merge"])
def test_an_enumeration_is_written_as_its_class_reads_it(policy: str) -> None:
    store = {"type": STORE}
    assert problems_of(component(BM25, document_store=store, filter_policy=policy)) == []
    (problem,) = problems_of(component(BM25, document_store=store, filter_policy=policy[:-1]))
    expected = f"must be one of 'replace', 'merge', got '{policy[:-1]}'. Did you mean '{policy}'?"
    assert problem.endswith(f"filter_policy of InMemoryBM25Retriever {expected}")


def test_a_number_that_yaml_reads_as_text_gets_the_right_form() -> None:
    text = component("haystack.components.preprocessors.document_splitter.DocumentSplitter", split_length="1e5")
    assert "must be an integer, got '1e5'. YAML reads it as text; write 1.0e+5." in problems_of(text)[0]


def test_an_object_of_another_class_is_refused() -> None:
    text = component(BM25, document_store={"type": CLEANER})
    assert "document_store of InMemoryBM25Retriever must be an InMemoryDocumentStore" in problems_of(text)[0]


@pytest.mark.parametrize("switch", ["", "HAYSTACK_UNSAFE_DESERIALIZATION", "HAYSTACK_DESERIALIZATION_ALLOWLIST"])
@pytest.mark.parametrize("nested", [False, True])
def test_an_untrusted_module_is_refused_without_being_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, switch: str, nested: bool
) -> None:
    (tmp_path / "evil_pipeline_module.py").write_text("from pathlib import Path\nPath('imported').touch()\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("haystack.core.serialization_security._unsafe_env_snapshot", None)
    if switch:
        monkeypatch.setenv(switch, "1" if "UNSAFE" in switch else "evil_pipeline_module")
    evil = "evil_pipeline_module.Component"
    writer = "haystack.components.writers.document_writer.DocumentWriter"
    text = component(writer, document_store={"type": evil, "init_parameters": {}}) if nested else component(evil)
    problems = problems_of(text)
    assert len(problems) == 1
    assert "the module 'evil_pipeline_module' is not trusted, so 'Component' was not imported" in problems[0]
    assert f"classes of {TRUSTED} only" in problems[0]
    assert not (tmp_path / "imported").exists()
    assert "evil_pipeline_module" not in sys.modules


@pytest.mark.parametrize("name", ["haystackx.A", "lodestone_evil.B", "os.path.Thing", "haystack.utils.auth.os.system"])
def test_a_name_that_only_resembles_a_trusted_one_is_refused(name: str) -> None:
    assert len(problems_of(component(name))) == 1


def test_a_type_or_callable_of_an_untrusted_module_is_refused() -> None:
    adapter = "haystack.components.converters.output_adapter.OutputAdapter"
    (problem,) = problems_of(component(adapter, template="{{ x }}", output_type="list[os.PathLike]"))
    assert "output_type of OutputAdapter names 'os.PathLike', whose module is not trusted" in problem


def test_a_secret_in_the_environment_is_left_to_haystack(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OUR_KEY", "x")
    text = component(
        "haystack.components.embedders.openai_text_embedder.OpenAITextEmbedder",
        api_key={"type": "env_var", "env_vars": ["OUR_KEY"], "strict": True},
    )
    assert problems_of(text) == []


def test_a_dumped_pipeline_is_valid(indexing_text: str) -> None:
    dumped = Pipeline.loads(indexing_text).dumps()
    assert problems_of(dumped) == []


def test_components_with_sockets_of_their_own_making_are_checked_by_their_instances() -> None:
    router = "haystack.components.routers.conditional_router.ConditionalRouter"
    route = {"condition": "{{ n > 1 }}", "output": "{{ n }}", "output_name": "many", "output_type": "int"}
    data = {
        "components": {"r": {"type": router, "init_parameters": {"routes": [route]}}, "s": {"type": CLEANER}},
        "connections": [{"sender": "r.few", "receiver": "s.documents"}],
    }
    (problem,) = problems_of(yaml.safe_dump(data))
    assert "sender 'r.few': r has no output 'few'; outputs: many (int)." in problem


def test_problems_show_the_file_as_the_user_named_it(write: Callable[..., Path]) -> None:
    path = write("components: {}\n", "mine.yaml")
    assert str(check(read_definition(path))[0]).startswith("mine.yaml:1: ")
    assert str(check(read_definition(path.absolute()))[0]).startswith("mine.yaml:1: ")


_CLEANERS = st.fixed_dictionaries(
    {},
    optional={
        "remove_empty_lines": st.booleans(),
        "keep_id": st.booleans(),
        "remove_substrings": st.none() | st.lists(st.text("abc", max_size=3)),
        "unicode_normalization": st.sampled_from([None, "NFC", "NFKC", "NFD", "NFKD"]),
        "replace_regexes": st.none()
        | st.dictionaries(st.text("ab", min_size=1, max_size=3), st.text("cd", max_size=2)),
    },
)
_JOINERS = st.fixed_dictionaries(
    {},
    optional={
        "join_mode": st.sampled_from(["concatenate", "merge", "reciprocal_rank_fusion"]),
        "top_k": st.none() | st.integers(1, 50),
        "weights": st.none() | st.lists(st.floats(0.1, 1) | st.integers(1, 3), min_size=2, max_size=2),
        "sort_by_score": st.booleans(),
    },
)
_STORES = st.fixed_dictionaries(
    {},
    optional={
        "bm25_algorithm": st.sampled_from(["BM25Okapi", "BM25L", "BM25Plus"]),
        "bm25_parameters": st.none() | st.just({"k1": 1, "b": 0.5}),
        "embedding_similarity_function": st.sampled_from(["dot_product", "cosine"]),
        "return_embedding": st.booleans(),
    },
)


@settings(max_examples=60, deadline=None)
@given(cleaners=st.lists(_CLEANERS, min_size=1, max_size=3), joiner=_JOINERS, store=_STORES, style=st.booleans())
def test_a_valid_definition_never_has_a_problem(
    cleaners: list[dict[str, Any]], joiner: dict[str, Any], store: dict[str, Any], style: bool
) -> None:
    data: dict[str, Any] = {"components": {"joiner": {"type": JOINER, "init_parameters": joiner}}, "connections": []}
    store_spec = {"type": STORE, "init_parameters": store}
    for index, parameters in enumerate(cleaners):
        data["components"][f"c{index}"] = {"type": CLEANER, "init_parameters": parameters}
        data["components"][f"r{index}"] = {"type": BM25, "init_parameters": {"document_store": store_spec}}
        data["connections"] += [
            {"sender": f"r{index}.documents", "receiver": f"c{index}.documents"},
            {"sender": f"c{index}", "receiver": "joiner.documents"},
        ]
    assert problems_of(yaml.safe_dump(data, default_flow_style=style)) == []


_ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 5) | st.sampled_from(["", "a", "a.b", JOINER, STORE, "text.sources"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "init_parameters", "sender", "receiver", "a", "top_k"]), inner, max_size=3
        )
    ),
    max_leaves=6,
)


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_no_definition_makes_the_check_itself_fail(indexing_text: str, data: st.DataObject) -> None:
    whole: Any = parse_definition(indexing_text).data
    place = whole
    while True:
        key = data.draw(st.sampled_from(sorted(place) if isinstance(place, dict) else list(range(len(place)))))
        if not isinstance(place[key], dict | list) or not place[key] or data.draw(st.booleans()):
            break
        place = place[key]
    place[key] = data.draw(_ANYTHING)
    text = yaml.safe_dump(whole)
    problems = check(parse_definition(text, "x.yaml"))
    assert all("\n" not in str(problem) and 1 <= problem.line <= text.count("\n") for problem in problems)
