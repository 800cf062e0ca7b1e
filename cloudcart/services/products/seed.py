"""What the shop sells from the start: six products in each of five categories, with pictures that need no network.

Pure data, made when the module is imported. Stocks are large, so that a load test does not run dry; whoever wants a
shortage sets a stock.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final, NamedTuple
from urllib.parse import quote


class SeedProduct(NamedTuple):
    """A row of the catalogue; the fields are in the order in which it is inserted."""

    name: str
    description: str
    price: Decimal
    stock: int
    category: str
    image_url: str


_ICONS: Final = {
    "Electronics": ("#2563eb", "<rect x='25' y='30' width='50' height='34' rx='4'/><path d='M40 74h20'/>"),
    "Books": ("#b45309", "<path d='M28 26h18q4 0 4 4v46q0-4-4-4H28zM72 26H54q-4 0-4 4v46q0-4 4-4h18z'/>"),
    "Clothing": ("#be185d", "<path d='M38 26l12 8 12-8 16 12-8 12-6-4v30H36V46l-6 4-8-12z'/>"),
    "Home": ("#047857", "<path d='M24 50l26-24 26 24M32 46v30h36V46M44 76V58h12v18'/>"),
    "Sports": ("#6d28d9", "<circle cx='50' cy='50' r='26'/><path d='M24 50h52M50 24v52'/>"),
}
_GOODS: Final = {
    "Electronics": (
        ("Wireless Headphones", "Over-ear, noise cancelling, 30 hours on one charge.", "129.99"),
        ("Mechanical Keyboard", "Quiet tactile switches and a metal frame.", "89.90"),
        ("USB-C Dock", "Two displays, network and power through one cable.", "149.00"),
        ("Smart Speaker", "Fills a room and hears you from the next one.", "59.95"),
        ("4K Monitor", "27 inches, factory calibrated.", "329.00"),
        ("Portable Charger", "20,000 mAh; charges a laptop once or a phone five times.", "39.50"),
    ),
    "Books": (
        ("The Reliable System", "How large services fail, and how they do not.", "34.00"),
        ("Queues and Tails", "Why the slowest request is the one that matters.", "28.50"),
        ("Chaos by Design", "Experiments on running systems, from hypothesis to verdict.", "41.20"),
        ("A Field Guide to Clouds", "Cumulus to cirrus, with 200 photographs.", "22.00"),
        ("Cooking for Two", "Ninety recipes for a small kitchen.", "19.90"),
        ("Short Walks", "Fifty afternoons on foot.", "14.99"),
    ),
    "Clothing": (
        ("Rain Jacket", "Waterproof, breathable, packs into its own pocket.", "99.00"),
        ("Merino Sweater", "Warm when it is cold, cool when it is not.", "79.50"),
        ("Canvas Sneakers", "Vulcanised sole, undyed cotton.", "54.90"),
        ("Wool Socks", "Three pairs.", "17.40"),
        ("Denim Shirt", "Heavy cotton that gets better with time.", "49.00"),
        ("Sun Hat", "Wide brim, folds flat.", "24.95"),
    ),
    "Home": (
        ("Ceramic Mug", "Holds 350 ml and the warmth.", "12.50"),
        ("Desk Lamp", "Dims from daylight to candle.", "44.00"),
        ("Cast-Iron Pan", "Seasoned, 26 cm, for life.", "38.90"),
        ("Linen Towels", "Set of four.", "32.00"),
        ("Wall Clock", "Silent movement, 30 cm.", "27.80"),
        ("Plant Pot", "Terracotta with a saucer.", "9.95"),
    ),
    "Sports": (
        ("Yoga Mat", "Natural rubber, 5 mm.", "35.00"),
        ("Running Belt", "Phone, keys and a gel, without bouncing.", "18.90"),
        ("Water Bottle", "Insulated steel, 750 ml.", "21.50"),
        ("Jump Rope", "Ball bearings and a cable that can be cut to length.", "11.00"),
        ("Climbing Chalk", "300 g, fine.", "8.50"),
        ("Bike Light Set", "Front and rear, rechargeable.", "29.99"),
    ),
}
_STOCK: Final = 10_000


def _picture(category: str) -> str:
    """Return an SVG as a data URI that fits the column image_url, which has 500 characters."""
    colour, shape = _ICONS[category]
    svg = (
        "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 100 100'>"
        f"<rect width='100' height='100' fill='{colour}'/>"
        f"<g fill='none' stroke='#fff' stroke-width='4'>{shape}</g></svg>"
    )
    return "data:image/svg+xml," + quote(svg, safe="/:='() ,")


SEED: Final = tuple(
    SeedProduct(name, description, Decimal(price), _STOCK, category, _picture(category))
    for category, goods in _GOODS.items()
    for name, description, price in goods
)
"""The catalogue at the first start; ids count from 1 in this order."""
