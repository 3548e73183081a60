"""The functions of runtime code, found by evmole: no ABI, no source, no names.

A name would be no proof anyway; the few names that are known here only word the report.
"""

from __future__ import annotations

from dataclasses import dataclass

from tessera.spec.signatures import keccak

__all__ = ["Function", "functions_of", "known_name", "split_types"]

_KNOWN = (
    "transfer(address,uint256)", "transferFrom(address,address,uint256)", "kill()",
    "approve(address,uint256)",
    "balanceOf(address)", "totalSupply()", "allowance(address,address)", "decimals()", "owner()",
    "mint(address,uint256)", "burn(uint256)", "burnFrom(address,uint256)", "pause()", "unpause()",
    "claim()", "claim(address)", "claimFor(address)", "claimFor(address,address)",
    "claimDividend()",
    "claim_for(address,address)", "withdrawDividend()", "distribute()", "distribute(uint256)",
    "distributeRevenue(uint256)", "sync()", "getReward()", "exit()", "stake(uint256)",
    "withdraw(uint256)", "withdraw()", "release()", "release(address)", "release(address,address)",
    "notifyRewardAmount(uint256)", "fetchProfit()", "fetchUndistributedProfit()", "loadProfit()",
    "claim(uint256)", "claim_many(address[20])", "redeem(uint256)", "harvest()", "payout()",
    "payout(address)", "reclaimToken(address)", "transferOwnership(address)", "harvest(uint256)",
    "deposit(uint256)", "deposit(uint256,uint256)", "withdraw(uint256,uint256)", "deposit()",
    "checkpoint_token()", "checkpoint_total_supply()", "allocate(address[],uint256[],address)",
    "addPayee(address,uint256)", "setShare(address,uint256)", "distributeDividends()",
    "emergencyWithdraw()", "recover_balance(address)", "kill_me()", "rescue(address)",
    "increaseAllowance(address,uint256)", "decreaseAllowance(address,uint256)",
)  # fmt: skip


def _selector(signature: str) -> bytes:
    return bytes(keccak(signature.encode())[:4])


_NAMES = {_selector(signature): signature for signature in _KNOWN}


@dataclass(frozen=True, slots=True)
class Function:
    """One function as its code shows it.

    Parameters
    ----------
    selector
        First four bytes of a call's data.
    types
        Types of the arguments as evmole reads them, `()` where none.
    mutability
        ``view``, ``pure``, ``payable`` or ``nonpayable``.
    """

    selector: bytes
    types: tuple[str, ...]
    mutability: str

    @property
    def reads_only(self) -> bool:
        """Whether its code writes nothing."""
        return self.mutability in ("view", "pure")

    @property
    def name(self) -> str:
        """Its signature where it is a common one, else the selector."""
        return known_name(self.selector)


def known_name(selector: bytes) -> str:
    """A common signature with this selector, else ``0x`` and the selector."""
    return _NAMES.get(selector, "0x" + selector.hex())


def functions_of(code: bytes) -> tuple[Function, ...]:
    """All functions that `code` dispatches to, by selector.

    Parameters
    ----------
    code
        Runtime code. Anything is accepted: data that is no code has no functions.
    """
    import evmole

    info = evmole.contract_info(code, selectors=True, arguments=True, state_mutability=True)
    found = [
        Function(
            selector=bytes.fromhex(function.selector),
            types=split_types(function.arguments or ""),
            mutability=function.state_mutability or "nonpayable",
        )
        for function in info.functions or ()
    ]
    return tuple(sorted(found, key=lambda function: function.selector))


def split_types(arguments: str) -> tuple[str, ...]:
    """Top-level types of ``address,(uint256,bytes),uint8[]``."""
    types: list[str] = []
    depth = 0
    begun = ""
    for letter in arguments:
        depth += {"(": 1, ")": -1}.get(letter, 0)
        if letter == "," and depth == 0:
            types.append(begun)
            begun = ""
        else:
            begun += letter
    return (*types, begun) if begun else tuple(types)
