"""What is in stock."""

from shop.models import Order, Product


class OutOfStockError(Exception):
    """There is less in stock than was ordered."""


def reserve_stock(order: Order) -> None:
    """Take what an order needs out of the stock."""
    for line in order.lines:
        if line.product.stock < line.quantity:
            raise OutOfStockError(line.product.name)
        line.product.stock -= line.quantity


def restock(product: Product, quantity: int) -> None:
    """Put new goods on the shelf."""
    product.stock += quantity
