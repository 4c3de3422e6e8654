"""Batches padded to few shapes, since engines prepare themselves for every shape that they have not seen."""

import numpy as np

from lodestone.components.engines.engine import Inputs, IntArray, Outputs

_GPU_TOKENS_STEP = 64


def rounded(number: int, step: int, most: int) -> int:
    """A number rounded up to a multiple of `step`, but not above `most`, unless it is above itself."""
    return max(number, min(-(-number // step) * step, most))


def gpu_shape(rows: int, tokens: int, most: int) -> tuple[int, int]:
    """The shape that a batch is given on a GPU: few enough of them to record each as a CUDA graph.

    :param rows: Its rows.
    :param tokens: Tokens of a row.
    :param most: The most tokens that the model takes.
    :returns: Rows rounded up to 1, 2, 4 or a multiple of 8, tokens to a multiple of 64.
    """
    fewer = next((few for few in (1, 2, 4) if rows <= few), 0)
    return fewer or -(-rows // 8) * 8, rounded(tokens, _GPU_TOKENS_STEP, most)


def padded(inputs: Inputs, rows: int, tokens: int) -> dict[str, IntArray]:
    """A batch with more rows and longer ones, whose own rows come out as before.

    :param inputs: As in `Engine.forward`.
    :param rows: How many rows it is to have; not fewer than it has.
    :param tokens: How many tokens a row is to have; not fewer than it has.
    :returns: The same arrays where nothing is added. Added tokens are masked out. In added rows the first token is
        not, since attention to nothing at all is not a number.
    """
    more_rows = rows - inputs["input_ids"].shape[0]
    more_tokens = tokens - inputs["input_ids"].shape[1]
    if not more_rows and not more_tokens:
        return dict(inputs)
    wider = {name: np.pad(array, ((0, more_rows), (0, more_tokens))) for name, array in inputs.items()}
    wider["attention_mask"][rows - more_rows :, 0] = 1
    return wider


def cropped(outputs: Outputs, rows: int, tokens: int) -> Outputs:
    """What came out for a batch as it was before `padded`.

    :param outputs: As in `Engine.forward`; the first two dimensions are rows and tokens.
    :param rows: How many rows it had.
    :param tokens: How many tokens a row had.
    :returns: The outputs without what was added.
    """
    return {name: array[:rows, :tokens] for name, array in outputs.items()}
