"""The UP42 REST API as typed Python. Knows neither Dagster nor the lake."""

from up42_pipelines.api.account import Account, Balance, Budget, BudgetSettings, BudgetSort, BudgetStatus, BudgetUsage
from up42_pipelines.api.assets import Assets, AssetSort, AssetSource, ExtractionStatus, StoredAsset
from up42_pipelines.api.auth import Credentials
from up42_pipelines.api.catalog import Catalog
from up42_pipelines.api.client import Up42Client
from up42_pipelines.api.glossary import Collection, CollectionSort, CollectionType, DataProduct, Integration, Provider
from up42_pipelines.api.order_forms import OrderForm
from up42_pipelines.api.order_status import OrderStatus, OrderSubStatus
from up42_pipelines.api.orders import Estimate, Order, OrderInput, Orders, OrderSort, Placement
from up42_pipelines.api.processing import Cost, Eula, InputProblem, Job, JobSort, JobStatus, Process, Processing
from up42_pipelines.api.regions import Hosts
from up42_pipelines.api.scenes import DeliveryTime, Scene
from up42_pipelines.api.signatures import read_message
from up42_pipelines.api.sorting import Sort
from up42_pipelines.api.storage import Storage, equals
from up42_pipelines.api.tasking import (
    Coverage,
    Decision,
    FeasibilityStudy,
    Quotation,
    QuotationSort,
    StudySort,
    Tasking,
)
from up42_pipelines.api.transport import Patience, Transport
from up42_pipelines.api.webhooks import TestReport, Webhook, WebhookEvent, WebhookMessage, Webhooks

__all__ = [
    "Account",
    "AssetSort",
    "AssetSource",
    "Assets",
    "Balance",
    "Budget",
    "BudgetSettings",
    "BudgetSort",
    "BudgetStatus",
    "BudgetUsage",
    "Catalog",
    "Collection",
    "CollectionSort",
    "CollectionType",
    "Cost",
    "Coverage",
    "Credentials",
    "DataProduct",
    "Decision",
    "DeliveryTime",
    "Estimate",
    "Eula",
    "ExtractionStatus",
    "FeasibilityStudy",
    "Hosts",
    "InputProblem",
    "Integration",
    "Job",
    "JobSort",
    "JobStatus",
    "Order",
    "OrderForm",
    "OrderInput",
    "OrderSort",
    "OrderStatus",
    "OrderSubStatus",
    "Orders",
    "Patience",
    "Placement",
    "Process",
    "Processing",
    "Provider",
    "Quotation",
    "QuotationSort",
    "Scene",
    "Sort",
    "Storage",
    "StoredAsset",
    "StudySort",
    "Tasking",
    "TestReport",
    "Transport",
    "Up42Client",
    "Webhook",
    "WebhookEvent",
    "WebhookMessage",
    "Webhooks",
    "equals",
    "read_message",
]
