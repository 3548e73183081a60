"""The HTTP door: OpenAI's wire format in front of models, and no answer without its payment.

It reads a request, lets the ledger judge the voucher, asks the runner, and sends the answer with
its receipt. What a call costs, whether it is covered and what a model says is decided below.
"""
