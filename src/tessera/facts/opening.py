"""One way in to facts that lie in files, whatever their form."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tessera.errors import InputError
from tessera.facts.facts import Facts

__all__ = ["open_facts"]

_INSTALL = "pip install 'tessera-market[analysis]'"


def open_facts(
    path: Path,
    *,
    chain_id: int = 0,
    token: str | None = None,
    progress: Callable[[int], None] | None = None,
) -> Facts:
    """Return the facts in a folder or in a table of transfers, as of their newest block.

    Parameters
    ----------
    path
        A folder that `tessera facts import` or `tessera index export` wrote, or a table of
        transfers in Parquet or CSV.
    chain_id
        Of a table, which does not say; 0 where nobody knows.
    token
        Of a table without a column that says.
    progress
        Called with the number of rows of a table that are read.

    Raises
    ------
    InputError
        There is no such file, a folder is none of facts, or the extra `analysis` is not installed.
    DataError
        What it holds is truncated, incomplete, or contradicts itself.
    """
    try:
        from tessera.facts.files import read_transfers
        from tessera.facts.folder import open_folder
    except ModuleNotFoundError as error:
        if error.name != "polars":
            raise
        raise InputError(
            f"{path}: reading tables needs {error.name}, which is not installed",
            next_step=_INSTALL,
        ) from error
    if path.is_dir():
        return open_folder(path)
    return Facts(read_transfers(path, chain_id=chain_id, token=token, progress=progress))
