"""Orders on disk."""

import json
from pathlib import Path

from shop.models import Order, OrderLine, Product


class OrderRepository:
    """Keeps orders as JSON files in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path_of(self, number: int) -> Path:
        return self.folder / f"{number}.json"

    def save_order(self, number: int, order: Order) -> None:
        lines = [{"sku": line.product.sku, "quantity": line.quantity} for line in order.lines]
        self.path_of(number).write_text(json.dumps({"customer": order.customer, "lines": lines}))

    def load_order(self, number: int, products: dict[str, Product]) -> Order:
        data = json.loads(self.path_of(number).read_text())
        lines = [OrderLine(products[line["sku"]], line["quantity"]) for line in data["lines"]]
        return Order(data["customer"], lines)
