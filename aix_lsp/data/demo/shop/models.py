"""What the shop sells, and who buys it."""

from dataclasses import dataclass, field


@dataclass
class Product:
    """One product in the catalogue."""

    sku: str
    name: str
    unit_price: float
    stock: int = 0


@dataclass
class OrderLine:
    """How many of a product a customer wants."""

    product: Product
    quantity: int


@dataclass
class Order:
    """An order of one customer."""

    customer: str
    lines: list[OrderLine] = field(default_factory=list)
