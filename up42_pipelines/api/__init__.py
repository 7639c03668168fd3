"""The UP42 REST API as typed Python. Knows neither Dagster nor the lake."""

from up42_pipelines.api.auth import Credentials
from up42_pipelines.api.catalog import Catalog, Collection, DataProduct, Scene
from up42_pipelines.api.client import Up42Client
from up42_pipelines.api.orders import Estimate, Order, OrderInput, Orders, OrderStatus, Placement
from up42_pipelines.api.regions import Hosts
from up42_pipelines.api.storage import Storage
from up42_pipelines.api.transport import Patience, Transport

__all__ = [
    "Catalog",
    "Collection",
    "Credentials",
    "DataProduct",
    "Estimate",
    "Hosts",
    "Order",
    "OrderInput",
    "OrderStatus",
    "Orders",
    "Patience",
    "Placement",
    "Scene",
    "Storage",
    "Transport",
    "Up42Client",
]
