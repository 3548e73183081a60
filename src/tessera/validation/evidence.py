"""A report's answers held against what the operator signed: its calls, kept with receipts."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import msgspec

from tessera.client.evidence import PaidCall
from tessera.spec.signatures import Domain
from tessera.validation.answers import Ask, Malformed, Unsupported, read_output
from tessera.validation.canonical import canonical
from tessera.validation.refusals import ReportWrong
from tessera.validation.task import Benchmark

__all__ = ["check_calls"]


def check_calls(
    report: dict[str, Any], task: Benchmark, calls: Sequence[PaidCall], domain: Domain
) -> int:
    """Check that the operator signed each call of a report, and about this model.

    Parameters
    ----------
    report, task
        Checked against each other before.
    calls
        With signatures that were checked (`tessera.client.evidence.kept`).
    domain
        Chain and contract that receipts are signed for.

    Returns
    -------
    int
        Calls that are proved so. Those that cost nothing have no receipt, and are not.

    Raises
    ------
    ReportWrong
        A call is missing, was used twice, or says something else than the report.
    """
    kept = {call.receipt.id(domain): call for call in calls if call.receipt is not None}
    model = report["core"]["model"]
    proved = 0
    for item in report["items"]:
        asks = task.scoring.asks(task.items[item["item"]])
        for ask, written in zip(asks, item["asks"], strict=True):
            if written["receipt"] is None:
                continue
            call = kept.pop(written["receipt"], None)
            about = f"item {item['item']}: receipt {written['receipt'][:12]}"
            if call is None or call.receipt is None:
                raise ReportWrong(about, found="none, or one used before", wanted="a kept call")
            receipt = call.receipt.receipt
            if (str(receipt.asset), receipt.version) != (model["asset"], model["version"]):
                raise ReportWrong(
                    about,
                    found=f"version {receipt.version} of asset {receipt.asset}",
                    wanted=f"version {model['version']} of asset {model['asset']}",
                )
            if _asked(call.request) != canonical(ask.fields):
                raise ReportWrong(about, found="another question", wanted="the item's")
            if _said(ask, call.response) != canonical(written["output"]):
                raise ReportWrong(about, found="another answer", wanted="the one in the report")
            proved += 1
    return proved


def _asked(body: bytes) -> bytes:
    try:
        fields = msgspec.json.decode(body, type=dict[str, Any])
    except msgspec.MsgspecError:
        return b""
    fields.pop("model", None)
    return canonical(fields)


def _said(ask: Ask, body: bytes) -> bytes:
    try:
        return canonical(read_output(ask, body))
    except (Malformed, Unsupported):
        return json.dumps(None).encode()
