"""Prices of lines and orders."""

from shop.models import Order, OrderLine

TAX_RATE = 0.19


def line_total(line: OrderLine) -> float:
    """Price of one line before tax."""
    return line.product.unit_price * line.quantity


def order_total(order: Order) -> float:
    """Price of all lines before tax."""
    return sum(line_total(line) for line in order.lines)


def apply_discount(amount: float, percent: float) -> float:
    """The amount less a discount in percent."""
    return amount * (1 - percent / 100)


def with_tax(amount: float) -> float:
    """The amount with tax."""
    return amount * (1 + TAX_RATE)
