"""What the result of an epoch depends on, as the chain and the validators' servers say it.

Nothing that a server says is believed: a row hashes to what its validator revealed, the parts of an
earlier result to what was posted. What was read once is kept, since nobody has to serve for ever.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final
from urllib.parse import urljoin

import httpx

from tessera.bindings.codec import plain
from tessera.bindings.epochs import Epochs, Posted, Result
from tessera.bindings.scores import DataShown, Revealed, Scores
from tessera.chain.reader import ChainReader
from tessera.errors import DataError, NotFound
from tessera.spec.epochs import (
    EpochInputs,
    Former,
    Header,
    PostedEpoch,
    RevealedRow,
    Rules,
    build,
)
from tessera.spec.scores import LEAF_WIDTH, Row, leaves_of
from tessera.spec.signatures import address_of
from tessera.spec.subnets import MAX_MODELS
from tessera.storage.folders import write_whole
from tessera.validation.fetching import FETCH_ERRORS, fetched, few_at_once
from tessera.validation.parts import has_all, name_of, read_parts, size_of, write_parts
from tessera.validation.rounds import Served, encode_row, look_at_rows, read_row

__all__ = ["EpochReader", "OnChain", "header_of"]


_FETCH_S: Final = 15.0
_PARTS_S: Final = 60.0
_ROW_BYTES: Final = 32 * MAX_MODELS
_MOST_SERVERS: Final = 16
"""Places to look for the parts of one result: each of 256 validators may write another address."""


@dataclass(frozen=True, slots=True)
class OnChain:
    """What Scores says of an epoch.

    Attributes
    ----------
    rows, columns
        Revealed rows, and models.
    closes_at
        Unix seconds, from which on nothing of the inputs changes.
    digest
        Over all rows and which of them count.
    """

    rows: int
    columns: int
    closes_at: int
    digest: bytes


def header_of(result: Result) -> Header:
    """Return a posted result as the twin has it."""
    return Header(*plain(result))


class EpochReader:
    """Reads inputs and results of epochs, and keeps them.

    Parameters
    ----------
    reader, http
        Of the chain, and for what is served elsewhere; without redirects.
    epochs, scores
        The contracts.
    served
        Folder of whole results, `name_of` each: what others may be shown.
    rows
        Folder of the rows that were read.
    mirrors
        Addresses of folders in which somebody serves results.
    since
        The first block with an event of these contracts.
    """

    def __init__(
        self,
        reader: ChainReader,
        http: httpx.AsyncClient,
        *,
        epochs: Epochs,
        scores: Scores,
        served: Path,
        rows: Path,
        mirrors: Sequence[str] = (),
        since: int = 0,
    ) -> None:
        self.reader = reader
        self.epochs = epochs
        self.scores = scores
        self.served = served
        self.since = since
        self._http = http
        self._rows = rows
        self.mirrors = tuple(mirrors)

    # --- Inputs -----------------------------------------------------------------------------------

    async def on_chain(self, subnet: int, epoch: int) -> OnChain:
        """Return what Scores says of an epoch."""
        said = await self.reader.read(self.scores.epoch_of(subnet, epoch))
        rows, _, columns, closes_at, digest = said
        return OnChain(rows, columns, closes_at, digest)

    async def inputs(self, subnet: int, epoch: int, previous: int) -> EpochInputs:
        """Return what a result of an epoch follows from.

        Parameters
        ----------
        previous
            The last final epoch, + 1, whose bonds go on; 0 for none.

        Raises
        ------
        NotFound
            A row that counts, or the parts of the last final result, cannot be read anywhere.
        InputError
            Nobody revealed a row, or the subnet has no models.
        """
        said = await self.on_chain(subnet, epoch)
        rules = await self.reader.read(self.scores.rules_of(subnet))
        former = await self._former(subnet, epoch, previous, said.columns) if previous else None
        return EpochInputs(
            columns=said.columns,
            rows=await self.rows(subnet, epoch),
            rules=Rules(*rules),
            digest=said.digest,
            former=former,
        )

    async def rows(self, subnet: int, epoch: int) -> tuple[RevealedRow, ...]:
        """Return all rows of an epoch, with their weights where they count.

        Raises
        ------
        NotFound
            One that counts cannot be read anywhere.
        """
        said = await self.on_chain(subnet, epoch)
        calls = [self.scores.row_at(subnet, epoch, row) for row in range(said.rows)]
        told = await self.reader.read_all(calls)
        uris = await self._uris(subnet, epoch)

        async def read(number: int) -> RevealedRow:
            who, root, total, stake = told[number]
            validator = address_of(who)
            if not total and not stake:
                return RevealedRow(validator, 0, (0,) * said.columns, void=True)
            uri = uris.get(number, "")
            row = await self._row(subnet, epoch, number, said.columns, root, total, uri)
            return RevealedRow(validator, stake, _weights(row, said.columns))

        return tuple(await few_at_once(read, said.rows))

    async def _uris(self, subnet: int, epoch: int) -> dict[int, str]:
        logs = await self.reader.logs(
            Revealed,
            address=self.scores.address,
            topics=Revealed.topics(subnet=subnet, epoch=epoch),
            first=self.since,
        )
        return {log.event.row: log.event.uri for log in logs}

    async def _row(
        self, subnet: int, epoch: int, number: int, columns: int, root: bytes, total: int, uri: str
    ) -> Row:
        file = self._row_file(root, columns)
        with contextlib.suppress(OSError, DataError):
            return read_row(await asyncio.to_thread(file.read_bytes), columns, root, total)
        why = ""
        try:
            data = await fetched(self._http, uri, most_bytes=_ROW_BYTES, within_s=_FETCH_S)
            row = read_row(data, columns, root, total)
        except FETCH_ERRORS as error:
            why = str(error) or type(error).__name__
            shown = await self._shown_row(subnet, epoch, number, columns)
            if shown is None or shown.root != root:
                raise NotFound(
                    f"row {number} of epoch {epoch} of subnet {subnet}",
                    found=why,
                    wanted=f"weights with root 0x{root.hex()}",
                    next_step="in its epoch it can be asked for: "
                    f"tessera validate watch {subnet} {epoch} --ask",
                ) from error
            return shown
        await asyncio.to_thread(write_whole, file, data)
        return row

    async def gather_rows(self, subnet: int, epoch: int) -> list[Served]:
        """Fetch each revealed row that is not kept yet, keep it, and return those nobody serves.

        Whoever wants to build or check a result gathers its rows while what is missing can still be
        asked for on the chain: a validator may serve its row so long, stop, and post what it likes.
        """
        columns = (await self.on_chain(subnet, epoch)).columns
        looked = await look_at_rows(
            self.reader,
            self._http,
            self.scores,
            subnet,
            epoch,
            first=self.since,
            without=lambda root: self._row_file(root, columns).exists(),
        )
        for row in [each.row for each in looked if each.row is not None]:
            weights = enumerate(_weights(row, columns))
            data = encode_row((uid, weight) for uid, weight in weights if weight)
            await asyncio.to_thread(write_whole, self._row_file(row.root, columns), data)
        return [each for each in looked if each.row is None]

    def _row_file(self, root: bytes, columns: int) -> Path:
        return self._rows / f"{root.hex()}-{columns}.json"

    async def _shown_row(self, subnet: int, epoch: int, number: int, columns: int) -> Row | None:
        """Put a row together from what its validator had to show on the chain."""
        logs = await self.reader.logs(
            DataShown,
            address=self.scores.address,
            topics=DataShown.topics(subnet=subnet, epoch=epoch, row=number),
            first=self.since,
        )
        leaves = {log.event.leaf: log.event.weights for log in logs}
        if len(leaves) < leaves_of(columns):
            return None
        # Scores let nobody show a weight for a model that is none.
        weights = {
            LEAF_WIDTH * leaf + at: weight
            for leaf, words in leaves.items()
            for at, weight in enumerate(_unpacked(words))
            if weight
        }
        return Row(weights, columns)

    # --- Results ----------------------------------------------------------------------------------

    async def header(self, subnet: int, epoch: int) -> Header | None:
        """Return the live or final result of an epoch, word for word; None where there is none."""
        digest = await self.reader.read(self.epochs.digest_of(subnet, epoch))
        if digest == bytes(32):
            return None
        logs = await self.reader.logs(
            Posted,
            address=self.epochs.address,
            topics=Posted.topics(subnet=subnet, epoch=epoch),
            first=self.since,
        )
        for log in reversed(logs):
            if log.event.digest == digest:
                return header_of(log.event.result)
        raise DataError(
            f"result of epoch {epoch} of subnet {subnet}",
            found="no event with its words",
            wanted=f"the one of digest 0x{digest.hex()}",
            next_step="ask a node that has the events of all blocks",
        )

    async def whole(self, subnet: int, epoch: int) -> PostedEpoch:
        """Return the final result of an epoch with all its parts.

        They are read from this folder, from the mirrors, beside the rows that validators serve;
        else computed again, with the results before it, as far back as one is not to be had.

        Raises
        ------
        NotFound
            The epoch has no result; or neither its parts nor all of its rows are anywhere.
        """
        missing: list[tuple[int, Header]] = []
        wanted, found = epoch, None
        while found is None:
            header = await self.header(subnet, wanted)
            if header is None:
                raise NotFound(
                    f"result of epoch {wanted} of subnet {subnet}",
                    found="none",
                    wanted="a posted one",
                )
            found = await self.kept(subnet, wanted, header)
            if found is None or not has_all(found):
                found = await self.looked_for(subnet, wanted, header)
            if found is None or not has_all(found):
                missing.append((wanted, header))
                if not header.previous:
                    break
                wanted, found = header.previous - 1, None
        for number, header in reversed(missing):
            found = await self._again(subnet, number, header)
        assert found is not None
        return found

    async def _again(self, subnet: int, epoch: int, header: Header) -> PostedEpoch:
        """Compute a result again; the one before it is kept by now."""
        inputs = await self.inputs(subnet, epoch, header.previous)
        made = await asyncio.to_thread(build, inputs)
        if made.header != header:
            raise NotFound(
                f"parts of epoch {epoch} of subnet {subnet}",
                found="a result that its inputs do not lead to, and that nobody challenged",
                wanted=f"the file {name_of(header.digest)}",
                next_step="name somebody who serves it: --mirror URL",
            )
        await self.keep(made)
        return made

    async def _former(self, subnet: int, epoch: int, previous: int, columns: int) -> Former:
        last = previous - 1
        posted = await self.whole(subnet, last)
        calls = [self.scores.model_since(subnet, uid, epoch) for uid in range(columns)]
        since = await self.reader.read_all(calls)
        said = await self.on_chain(subnet, last)
        rows = [self.scores.row_at(subnet, last, row) for row in range(said.rows)]
        validators = [address_of(who) for who, _, _, _ in await self.reader.read_all(rows)]
        return Former(
            epoch=last,
            posted=posted,
            validators=tuple(validators),
            kept=tuple(first <= last for first in since),
        )

    # --- Parts ------------------------------------------------------------------------------------

    async def keep(self, posted: PostedEpoch) -> Path:
        """Keep a whole result, where others may be shown it; return the file."""
        file = self.served / name_of(posted.header.digest)
        if not await asyncio.to_thread(file.exists):
            data = await asyncio.to_thread(write_parts, posted)
            await asyncio.to_thread(write_whole, file, data, private=False)
        return file

    async def kept(self, subnet: int, epoch: int, header: Header) -> PostedEpoch | None:
        """Return a result from this folder; None where it is not there, or damaged."""
        file = self.served / name_of(header.digest)
        said = await self.on_chain(subnet, epoch)
        with contextlib.suppress(OSError, DataError):
            data = await asyncio.to_thread(file.read_bytes)
            return await asyncio.to_thread(read_parts, data, header, said.rows, said.columns)
        return None

    async def looked_for(self, subnet: int, epoch: int, header: Header) -> PostedEpoch | None:
        """Look for the parts of a result where somebody may serve them.

        Returns
        -------
        PostedEpoch or None
            All parts that somebody serves; kept if it is whole.
        """
        said = await self.on_chain(subnet, epoch)
        found: PostedEpoch | None = None
        for uri in await self._places(subnet, epoch, name_of(header.digest)):
            with contextlib.suppress(*FETCH_ERRORS):
                data = await fetched(
                    self._http, uri, most_bytes=size_of(said.rows, said.columns), within_s=_PARTS_S
                )
                read = await asyncio.to_thread(read_parts, data, header, said.rows, said.columns)
                found = read if found is None else _joined(found, read)
                if has_all(found):
                    await self.keep(found)
                    break
        return found

    async def _places(self, subnet: int, epoch: int, name: str) -> list[str]:
        """Return where a file may be: in the mirrors, and beside what validators serve."""
        uris = (await self._uris(subnet, epoch)).values()
        places = [f"{mirror.rstrip('/')}/{name}" for mirror in self.mirrors]
        for uri in uris:
            with contextlib.suppress(ValueError):
                places.append(urljoin(uri, name))
        return list(dict.fromkeys(places))[:_MOST_SERVERS]


def _joined(known: PostedEpoch, more: PostedEpoch) -> PostedEpoch:
    """Put together what two servers have of a result; each has all columns or none."""
    if known.stakes is None:
        known = replace(known, stakes=more.stakes)
    if None in known.columns:
        known = replace(known, columns=more.columns, column_tree=more.column_tree)
    if None in known.rows:
        known = replace(known, rows=more.rows, row_tree=more.row_tree)
    return known


def _weights(row: Row, columns: int) -> tuple[int, ...]:
    return tuple(weight for words in row.leaves for weight in _unpacked(words))[:columns]


def _unpacked(words: Iterable[int]) -> list[int]:
    return [word >> 16 * place & 0xFFFF for word in words for place in range(16)]
