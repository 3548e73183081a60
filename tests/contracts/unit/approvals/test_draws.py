"""Random numbers by commit and reveal: fair with one honest secret, and never stuck."""

from __future__ import annotations

from eth_utils import keccak
from rig.approving import KEEPER, Approving, open_approving
from rig.bonding import TSR
from rig.compiling import compiled, mock
from rig.contract import Contract, deployed, refused
from rig.people import Person, key_of
from rig.system import World

from tessera.spec.court import deposit_of_draw, seed_of_draw

SECRETS = [keccak(text="one"), keccak(text="two")]


def false_token(world: World) -> Contract:
    token = deployed(world.engine, mock("FalseCurrency"), 18, by=world.owner.address)
    token("mint", "0x" + "11" * 20, 1)
    return token


def test_the_order_of_secrets_does_not_matter(fresh: Approving, attacker: Person) -> None:
    draws, people = fresh.draws, [KEEPER, attacker]
    draw = draws("request")
    for who, secret in zip(people, SECRETS, strict=True):
        fresh.fund(who, 10 * TSR)
        commitment = fresh.secret_of(draw, who, secret)
        assert draws("commitment_for", draw, who.address, secret) == commitment
        draws("commit", draw, commitment, by=who.address)
    assert fresh.held(draws) == 20 * TSR
    fresh.hours(1)
    draws("reveal", draw, SECRETS[1], by=attacker.address)
    assert draws("seed_of", draw) == bytes(32)
    draws("reveal", draw, SECRETS[0], by=KEEPER.address)
    shown = dict(zip([key_of(who) for who in people], SECRETS, strict=True))
    chain_id = fresh.world.engine.chain_id
    expected = seed_of_draw(draw, shown, chain_id=chain_id, draws=key_of(draws))
    assert draws("seed_of", draw) == expected
    assert fresh.held(draws) == 0


def test_a_secret_that_is_kept_costs_its_deposit_and_the_draw(
    fresh: Approving, attacker: Person
) -> None:
    draws = fresh.draws
    draw = draws("request")
    for who, secret in zip([KEEPER, attacker], SECRETS, strict=True):
        fresh.fund(who, 10 * TSR)
        draws("commit", draw, fresh.secret_of(draw, who, secret), by=who.address)
    fresh.hours(1)
    draws("reveal", draw, SECRETS[0], by=KEEPER.address)
    with refused("draws: not over yet"):
        draws("forfeit", draw, attacker.address)
    with refused("draws: has its number, or may still get it"):
        draws("again", draw)
    fresh.hours(1)
    before = fresh.held(fresh.world.commons)
    with refused("draws: forfeit its deposits first"):
        draws("again", draw)
    draws("forfeit", draw, attacker.address)
    assert fresh.held(fresh.world.commons) - before == 10 * TSR
    with refused("draws: nothing to forfeit"):
        draws("forfeit", draw, attacker.address)
    assert draws("seed_of", draw) == bytes(32)
    draws("again", draw)
    assert draws("draw_of", draw)[-1] == deposit_of_draw(10 * TSR, kept=1)
    fresh.hours(2)
    # Nobody took part: nobody is to pay more for it.
    draws("again", draw)
    assert fresh.seed(draw) != bytes(32)
    assert fresh.held(draws) == 0
    fresh.hours(1)
    with refused("draws: has its number, or may still get it"):
        draws("again", draw)


def test_a_draw_without_secrets_is_held_again(fresh: Approving, attacker: Person) -> None:
    draws = fresh.draws
    draw = draws("request")
    fresh.fund(attacker, 10 * TSR)
    draws("commit", draw, fresh.secret_of(draw, attacker, SECRETS[0]), by=attacker.address)
    fresh.hours(2)
    assert draws("seed_of", draw) == bytes(32)
    with refused("draws: forfeit its deposits first"):
        draws("again", draw)
    draws("forfeit", draw, attacker.address)
    draws("again", draw)
    assert fresh.seed(draw) != bytes(32)


def test_times_and_copies(fresh: Approving, attacker: Person) -> None:
    draws = fresh.draws
    with refused("draws: not the time to commit"):
        draws("commit", 99, SECRETS[0], by=KEEPER.address)
    draw = draws("request")
    fresh.fund(KEEPER, 10 * TSR)
    fresh.fund(attacker, 10 * TSR)
    commitment = fresh.secret_of(draw, KEEPER, SECRETS[0])
    with refused("draws: not a commitment"):
        draws("commit", draw, bytes(32), by=KEEPER.address)
    draws("commit", draw, commitment, by=KEEPER.address)
    with refused("draws: committed already"):
        draws("commit", draw, commitment, by=KEEPER.address)
    draws("commit", draw, commitment, by=attacker.address)
    with refused("draws: not the time to reveal"):
        draws("reveal", draw, SECRETS[0], by=KEEPER.address)
    fresh.hours(1)
    draws("reveal", draw, SECRETS[0], by=KEEPER.address)
    with refused("draws: not what was committed"):
        draws("reveal", draw, SECRETS[0], by=attacker.address)
    with refused("draws: not what was committed"):
        draws("reveal", draw, SECRETS[0], by=KEEPER.address)


def test_window_and_deposit_are_something(fresh: Approving) -> None:
    for window, deposit in ((0, 1), (1, 0)):
        with refused("draws: window and deposit must not be 0"):
            deployed(
                fresh.world.engine,
                compiled("Draws"),
                fresh.bonding.token,
                fresh.world.registry,
                window,
                deposit,
                by=KEEPER.address,
            )


def test_tokens_that_answer_false_are_believed(attacker: Person) -> None:
    """Every contract of approvals stops where its token says that nothing moved."""
    tokens: list[Contract] = []

    def token(world: World) -> Contract:
        tokens.append(false_token(world))
        tokens[0]("mint", fund.address, 10**6 * TSR)
        return tokens[0]

    from rig.people import person

    fund = person("treasury")
    approving = open_approving(token=token)
    approving.add_jurors(1)
    approving.start()
    approving.all_approve(reports=True)
    approving.fund(attacker, 1_000 * TSR)
    draw = approving.draws("request")
    tokens[0]("set_refuses", True)
    with refused("draws: token refused the transfer"):
        approving.draws("commit", draw, SECRETS[0], by=attacker.address)
    with refused("approvals: token refused the transfer"):
        approving.approvals(
            "commit_set", bytes(32), 100, bytes(32), 400, 1, approving.world.now + 9, "",
            by=attacker.address,
        )  # fmt: skip
    with refused("court: token refused the transfer"):
        accused = approving.validators[0].address
        approving.court("accuse", approving.round, accused, 0, SECRETS[0], by=attacker.address)
