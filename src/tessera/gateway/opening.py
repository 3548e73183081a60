"""An operator's gateway: its models as offers, its ledger as cashier, on the configured address."""

from __future__ import annotations

from tessera.app import Operator
from tessera.app.x402 import exact_least
from tessera.config import Config
from tessera.gateway.asgi import Gateway
from tessera.gateway.catalogue import ListedModels, Offer
from tessera.gateway.messages import Limits
from tessera.gateway.overseeing import oversee
from tessera.gateway.paying import Cashier, PaymentTerms
from tessera.gateway.server import GatewayServer
from tessera.payments.key_tender import ApiKeys
from tessera.payments.settle import grant_margin_s
from tessera.payments.tender import Tender
from tessera.payments.x402.facilitator import Facilitator, FacilitatorRules
from tessera.serving.fairness import QueueRules
from tessera.serving.turns import Turns
from tessera.spec.signatures import Address, address_of

__all__ = ["offers_of", "open_gateway", "payment_terms", "queue_rules"]


def open_gateway(operator: Operator) -> GatewayServer:
    """Take the address and build the gateway; `start` it to answer, and `stop` it in the end.

    What it offers follows what the operator serves.

    Raises
    ------
    Busy, InputError
        The address is taken, or none that can be listened on.
    """
    world = operator.world
    catalogue = ListedModels(())
    terms = payment_terms(operator)
    operator.on_change(lambda: catalogue.replace(offers_of(operator)))
    limits = Limits(answer_timeout_s=world.config.request_timeout_s)
    turns = Turns(queue_rules(world.config), operator.stakes)
    margin_s = grant_margin_s(world.config.settle_every_s)
    tenders: list[Tender] = [ApiKeys(operator.ledger, terms.operator_key, margin_s)]
    if operator.x402 is not None:
        tenders.append(operator.x402.tender)
    cashier = Cashier(operator.ledger, terms, operator.stakes, tenders)
    gateway = Gateway(
        catalogue,
        cashier,
        world.clock,
        limits,
        turns,
        oversee(operator, turns),
        _facilitator(operator),
    )
    return GatewayServer(
        gateway,
        host=world.config.gateway_host,
        port=world.config.gateway_port,
        drain_s=world.config.drain_s,
    )


def payment_terms(operator: Operator) -> PaymentTerms:
    """Return how calls to an operator's models are paid."""
    world = operator.world
    return PaymentTerms(
        domain=operator.domain,
        operator=address_of(operator.account.address),
        operator_key=operator.account.public_key,
        currency=address_of(world.currency.address),
        decimals=world.currency.decimals,
        symbol=world.currency.symbol,
        withdraw_delay_s=world.deployment.parameters.withdraw_delay_s,
    )


def queue_rules(config: Config) -> QueueRules:
    """Return how models' queues are kept, as the settings say."""
    return QueueRules(
        length=config.queue_calls_count,
        wait_s=config.queue_wait_s,
        unit_bps=config.queue_unit_bps,
        open_bps=config.queue_open_bps,
    )


def _facilitator(operator: Operator) -> Facilitator | None:
    """Return what settles payments to what is served here, and to nobody else, if x402 is taken."""
    desk, world = operator.x402, operator.world
    if desk is None:
        return None

    def serves(receiver: Address) -> bool:
        for offer in offers_of(operator):
            terms = [offer.terms, *([offer.discount.terms] if offer.discount else [])]
            if receiver in [desk.till(offer.asset, each) for each in terms]:
                return True
        return False

    currency = address_of(world.currency.address)
    rules = FacilitatorRules(
        tokens=frozenset({currency}), serves=serves, least_units=exact_least(world)
    )
    sender = world.sender(world.config.operator)
    return Facilitator(world.reader, sender, rules, world.clock)


def offers_of(operator: Operator) -> list[Offer]:
    """Return what an operator serves now, as its gateway offers it."""
    return [
        Offer(
            slug=slug,
            asset=model.record.asset,
            version=model.release.version,
            terms=model.endpoint.terms,
            urn=model.urn,
            price=model.endpoint.price,
            runner=model.runner,
            owner=model.record.creator,
            created=model.created,
            discount=model.endpoint.discount,
        )
        for slug, model in operator.models.items()
    ]
