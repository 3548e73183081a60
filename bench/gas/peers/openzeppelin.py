"""OpenZeppelin: the plain token, the voting token, the splitter and the vesting wallet."""

from __future__ import annotations

from bench.gas.chain import Chain, Contract, account
from bench.gas.dollar import Dollar
from bench.gas.peers.packages import compiled
from bench.gas.rows import Action, Row

_SUPPLY = 10**26
_AMOUNT = 10**18
_PAYEES = 100
_DAY = 86_400


def measure(chain: Chain, dollar: Dollar) -> list[Row]:
    """Measure transfers of both tokens, a release of the splitter and one of the vesting wallet."""
    return [
        *_transfers(chain),
        _splitter(chain, dollar),
        _vesting(chain),
    ]


def _transfers(chain: Chain) -> list[Row]:
    publisher, holder = account("publisher"), account("holder")
    rows = []
    plain = chain.deploy(publisher, compiled()["PlainToken"], _SUPPLY)
    first, warm = (
        chain.transact(publisher, plain, "transfer", holder.address, _AMOUNT).gas for _ in "12"
    )
    rows.append(
        Row(
            Action.TRANSFER_QUIET,
            "OpenZeppelin 5 ERC20",
            "transfer",
            "earns nothing",
            warm,
            first,
        )
    )
    votes = chain.deploy(publisher, compiled()["VotesToken"], _SUPPLY)
    first, warm = (
        chain.transact(publisher, votes, "transfer", holder.address, _AMOUNT).gas for _ in "12"
    )
    rows.append(
        Row(
            Action.TRANSFER_QUIET,
            "OpenZeppelin 5 ERC20Votes",
            "transfer",
            "earns nothing; nobody delegated",
            warm,
            first,
        )
    )
    for person in (publisher, holder):
        chain.transact(person, votes, "delegate", person.address)
    first, warm = (
        chain.transact(publisher, votes, "transfer", holder.address, _AMOUNT).gas for _ in "12"
    )
    rows.append(
        Row(
            Action.TRANSFER_QUIET,
            "OpenZeppelin 5 ERC20Votes",
            "transfer",
            "earns nothing; both delegated, two checkpoints",
            warm,
            first,
        )
    )
    return rows


def _splitter(chain: Chain, dollar: Dollar) -> Row:
    deployer = account("publisher")
    payees = [account(f"payee {number}").address for number in range(_PAYEES)]
    splitter = chain.deploy(deployer, compiled()["PaymentSplitter"], payees, [1] * _PAYEES)
    release = "release(address,address)"

    def pay_in() -> None:
        dollar.give(splitter.address, _PAYEES * 10**6)

    pay_in()
    # The very first release writes the splitter's own total too; the figure is of the next.
    chain.transact(deployer, splitter, release, dollar.address, payees[0])
    first = chain.transact(deployer, splitter, release, dollar.address, payees[1]).gas
    pay_in()
    warm = chain.transact(deployer, splitter, release, dollar.address, payees[1]).gas
    return Row(
        Action.CLAIM,
        "OpenZeppelin 4.9.6 PaymentSplitter",
        "release",
        "one payee of 100, fixed for ever",
        warm,
        first,
    )


def _vesting(chain: Chain) -> Row:
    publisher, contributor = account("publisher"), account("contributor")
    token = chain.deploy(publisher, compiled()["PlainToken"], _SUPPLY)
    wallet: Contract = chain.deploy(
        publisher, compiled()["VestingWallet"], contributor.address, chain.now, 100 * _DAY
    )
    chain.transact(publisher, token, "transfer", wallet.address, _SUPPLY // 2)
    chain.pass_time(_DAY)
    first = chain.transact(contributor, wallet, "release(address)", token.address).gas
    chain.pass_time(_DAY)
    warm = chain.transact(contributor, wallet, "release(address)", token.address).gas
    return Row(
        Action.VESTING_CLAIM,
        "OpenZeppelin 5 VestingWallet",
        "release",
        "one wallet contract per person",
        warm,
        first,
    )
