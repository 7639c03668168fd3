"""What a user of UP42's official SDK does, against a sandbox; run by the SDK's own interpreter.

Every public name of the SDK is used at least once; nothing of it is changed but the host. Prints one JSON object with
what was seen; an assertion or an exception is the judgement that the sandbox is not a UP42 that the SDK can work with.

Usage: python scenario.py <base URL> <folder for downloads>
"""

import datetime as dt
import json
import sys
import time
import warnings
from pathlib import Path

import requests
import up42
from up42 import host, processing, processing_templates
from up42.budgets import BudgetUsage
from up42.glossary import InvalidSearchRequest
from up42.stac import IncompleteCollectionDeletionError

BASE, FOLDER = sys.argv[1], Path(sys.argv[2])
PATIENCE_S = 30
_DESCRIPTORS = (classmethod, staticmethod, property)


def box(west, south, east, north):
    """A GeoJSON polygon."""
    corners = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    return {"type": "Polygon", "coordinates": [corners]}


AREA, FAR_AWAY = box(13.38, 52.46, 13.40, 52.475), box(100.0, 1.0, 100.02, 1.02)

host.endpoint = lambda path: f"{BASE}{path}"
host.token_endpoint = lambda: f"{BASE}/realms/public/protocol/openid-connect/token"
host.user_info_endpoint = lambda: f"{BASE}/realms/public/protocol/openid-connect/userinfo"


def features(*geometries):
    """A FeatureCollection with one feature per geometry."""
    return {
        "type": "FeatureCollection",
        "features": [{"type": "Feature", "properties": {}, "geometry": geometry} for geometry in geometries],
    }


def awaited(look):
    """Ask until the answer is true: UP42 works in the background."""
    deadline = time.monotonic() + PATIENCE_S
    while not (answer := look()):
        assert time.monotonic() < deadline, "the sandbox never got there"
        time.sleep(0.02)
    return answer


def refusal(call):
    """Status of the answer when the call is refused, None when it is not."""
    try:
        call()
    except requests.HTTPError as error:
        return error.response.status_code
    return None


def decide(kind, fate):
    """Let the next order or job fare so, instead of leaving it to chance."""
    requests.post(f"{BASE}/sandbox/fates", json={"kind": kind, "fate": fate}, timeout=5).raise_for_status()


def mark(case):
    """Tell whoever records the requests that those of a case begin."""
    requests.get(f"{BASE}/sandbox/health", params={"case": case}, timeout=5).raise_for_status()


def glossary():
    """Collections, providers, data products, order forms, search, quicklooks."""
    collections = list(up42.ProductGlossary.get_collections(sort_by=up42.CollectionSorting.name.asc))
    names = [collection.name for collection in collections]
    assert names == sorted(names)
    for field in ("title", "description", "type"):
        by_field = up42.ProductGlossary.get_collections(sort_by=getattr(up42.CollectionSorting, field).desc)
        assert {collection.name for collection in by_field} == set(names)
    archive = list(up42.ProductGlossary.get_collections(collection_type=up42.CollectionType.ARCHIVE))
    tasking = list(up42.ProductGlossary.get_collections(collection_type=up42.CollectionType.TASKING))
    assert {one.name for one in [*archive, *tasking]} == set(names)
    assert tasking

    optical = next(collection for collection in collections if collection.name == "sandbox-optical")
    product = next(product for product in optical.data_products if product.name == "analytic")
    assert "id" in product.schema["properties"]
    provider = next(provider for provider in optical.providers if provider.is_host)
    assert isinstance(provider, up42.Provider)
    assert "PRODUCER" in provider.roles
    scenes = list(
        provider.search(
            collections=["sandbox-optical"],
            intersects=AREA,
            start_date="2026-06-01",
            end_date="2026-06-20",
            query={"cloudCoverage": {"lte": 100}},
        )
    )
    assert all(scene.collection == "sandbox-optical" for scene in scenes)
    quicklook = scenes[0].quicklook.download(FOLDER)
    try:
        list(provider.search(collections=["no-such-collection"], intersects=AREA))
    except InvalidSearchRequest as error:
        refusal = str(error)
    else:
        refusal = ""
    seen = {"collections": names, "scenes": len(scenes), "quicklook": quicklook.stat().st_size}
    return seen | {"invalid search": refusal}, product, scenes, tasking[0]


def catalogue(scenes):
    """The STAC catalogue finds what the search at the host found."""
    client = up42.catalog_client()
    assert "sandbox-optical" in {collection.id for collection in client.get_collections()}
    found = client.search(
        collections=["sandbox-optical"],
        intersects=AREA,
        datetime="2026-06-01T00:00:00Z/2026-06-20T23:59:59Z",
        filter={"op": "<=", "args": [{"property": "eo:cloud_cover"}, 100]},
        filter_lang="cql2-json",
        limit=7,
    )
    ids = [item.id for item in found.items()]
    assert sorted(ids) == sorted(scene.id for scene in scenes)
    return len(ids)


def archive_orders(product, scenes):
    """Estimate, place, track, list, get, update."""
    orders = []
    for number, (scene, fate) in enumerate(zip(scenes, ("in_parts", "fulfilled", "stumbles"), strict=False)):
        decide("order", fate)
        template = up42.BatchOrderTemplate(
            data_product_id=product.id,
            display_name=f"sdk {number}",
            features=features(AREA, FAR_AWAY),
            params={"id": scene.id},
            tags=["sdk", f"number {number}"],
        )
        assert template.estimate.unit == "SQ_KM"
        assert template.estimate.credits > 0
        assert template.estimate.size > 0
        assert [type(item).__name__ for item in template.estimate.items] == ["OrderCost", "OrderError"]
        placed, refused = template.place()
        assert type(refused).__name__ == "OrderError"
        orders.append(placed.order)
    ids = [order.id for order in orders]
    for order in orders:
        order.track(report_time=0.05)
    assert all(up42.Order.get(order.id).is_fulfilled for order in orders)

    listed = list(up42.Order.all(tags=["sdk"], sort_by=up42.OrderSorting.created_at.asc))
    assert [order.id for order in listed] == ids
    for field in ("updated_at", "type", "status"):
        by_field = list(up42.Order.all(tags=["sdk"], sort_by=getattr(up42.OrderSorting, field).desc))
        assert {order.id for order in by_field} == set(ids)
    assert [order.id for order in up42.Order.all(display_name="sdk 1")] == [ids[1]]
    assert [order.id for order in up42.Order.all(tags=["number 2"], order_type="ARCHIVE")] == [ids[2]]
    assert [order.id for order in up42.Order.all(ids=ids[:1])] == ids[:1]
    workspace = orders[0].workspace_id
    fulfilled = up42.Order.all(workspace_id=workspace, status=["FULFILLED", "PLACED"], tags=["sdk"])
    assert {order.id for order in fulfilled} == set(ids)
    assert not list(up42.Order.all(status=["CANCELED"], tags=["sdk"]))
    up42.Order.update(ids[0], tags=["sdk", "renamed"])
    assert up42.Order.get(ids[0]).tags == ["sdk", "renamed"]
    return orders


def cancellation(product, scene):
    """An order that cannot be placed is cancelled."""
    decide("order", "placement_failed")
    template = up42.BatchOrderTemplate(
        data_product_id=product.id, display_name="sdk stuck", features=features(AREA), params={"id": scene.id}
    )
    order = template.place()[0].order
    awaited(lambda: up42.Order.get(order.id).status == "PLACEMENT_FAILED")
    stuck = up42.Order.get(order.id)
    canceled = stuck.cancel()
    assert up42.Order.get(order.id).status == "CANCELED"
    return str(canceled)


def storage(order):
    """Items of an order: search, extension, download, update, deletion."""
    client = up42.stac_client()
    same_order = {"op": "=", "args": [{"property": "order_id"}, order.id]}
    items = awaited(lambda: list(client.search(filter=same_order).items()))
    item = items[0]
    assert item.up42.order_id == order.id
    assert item.up42.collection_name == "sandbox-optical"
    assert item.up42.source == "ARCHIVE"
    assert item.up42.workspace_id == order.workspace_id
    assert item.up42.asset_id
    data = next(asset for asset in item.assets.values() if "data" in asset.roles)
    downloaded = data.file.download(FOLDER)
    collection = client.get_collection(item.collection_id)
    assert collection.up42.order_id == order.id
    assert item.id in {one.id for one in collection.get_items()}
    assert item.id in {one.id for one in client.get_items(item.id)}
    archive = next(iter(collection.assets.values())).file.download(FOLDER)

    item.up42.title, item.up42.tags = "harbour", ["kept", "sdk"]
    item.update()
    again = next(iter(client.get_items(item.id)))
    assert (again.up42.title, again.up42.tags) == ("harbour", ["kept", "sdk"])
    item.up42.title = None
    item.update()
    assert next(iter(client.get_items(item.id))).up42.title is None
    return {
        "downloaded": downloaded.name,
        "magic": downloaded.read_bytes()[:4].hex(),
        "archive magic": archive.read_bytes()[:2].decode(),
    }, item


def deletion(order):
    """A collection goes as a whole, with its items."""
    client = up42.stac_client()
    same_order = {"op": "=", "args": [{"property": "order_id"}, order.id]}
    items = awaited(lambda: list(client.search(filter=same_order).items()))
    try:
        up42.BulkDeletion(*(item.id for item in items)).delete()
    except IncompleteCollectionDeletionError:
        return "refused"
    assert not list(client.search(filter=same_order).items())
    return "deleted"


def bundled(scene):
    """An item with a panchromatic raster beside the multispectral one."""
    optical = next(one for one in up42.ProductGlossary.get_collections() if one.name == "sandbox-optical")
    product = next(product for product in optical.data_products if product.name == "bundle")
    decide("order", "fulfilled")
    template = up42.BatchOrderTemplate(
        data_product_id=product.id, display_name="sdk bundle", features=features(AREA), params={"id": scene.id}
    )
    order = template.place()[0].order
    order.track(report_time=0.05)
    same_order = {"op": "=", "args": [{"property": "order_id"}, order.id]}
    [item] = awaited(lambda: list(up42.stac_client().search(filter=same_order).items()))
    return item


def job_templates(item, reference):
    """Every job template: validated, and priced when it is valid; two are executed and tracked."""
    judged = {}
    for name, template in vars(processing_templates).items():
        if not (isinstance(template, type) and hasattr(template, "process_id")):
            continue
        if issubclass(template, processing_templates.SimularityJobTemplate):
            job = template(title=f"sdk {name}", source_item=item, reference_item=reference)
        elif issubclass(template, processing_templates.SingleItemJobTemplate):
            job = template(title=f"sdk {name}", item=item)
        else:
            continue
        judged[template.process_id] = sorted(error.name for error in job.errors)
        if job.is_valid:
            assert job.cost.credits >= 0
            assert job.cost.strategy
            assert job.cost <= job.cost.credits
    started = []
    for template in (processing_templates.UpsamplingNS, processing_templates.TrueColorConversion):
        for fate in ("successful", "released"):
            decide("job", {"successful": "successful", "released": "failed"}[fate])
            job = template(title=f"sdk {fate}", item=item).execute()
            job.track(wait=0.05, retries=400)
            assert job.status.value == fate
            started.append(job)
    succeeded = started[0]
    assert succeeded.collection.up42.job_id == succeeded.id
    assert [result.up42.source for result in succeeded.collection.get_items()] == ["PROCESSING"]
    assert succeeded.credits > 0
    assert started[1].errors
    assert started[1].collection is None

    ids = [job.id for job in started]
    for field in ("process_id", "status", "created", "credits"):
        for sort in (getattr(up42.JobSorting, field).asc, getattr(up42.JobSorting, field).desc):
            assert {job.id for job in up42.Job.all(sort_by=sort)} >= set(ids)
    oldest_first = [job.id for job in up42.Job.all(sort_by=up42.JobSorting.created.asc, ids=ids, page_size=1)]
    assert oldest_first == ids
    upsampled = list(up42.Job.all(process_id=["upsampling-ns"], workspace_id=succeeded.workspace_id))
    assert {job.id for job in upsampled} == set(ids[:2])
    released = list(up42.Job.all(status=[up42.JobStatus.RELEASED, up42.JobStatus.REJECTED]))
    assert {job.id for job in released} == {ids[1], ids[3]}
    assert {job.id for job in up42.Job.all(min_duration=0, max_duration=10**6)} >= set(ids)
    assert up42.Job.get(ids[0]).status == processing.JobStatus.SUCCESSFUL
    listed = up42.base.workspace.session.get(host.endpoint(f"/v2/processing/jobs?ids={ids[0]}")).json()
    assert [up42.Job.from_metadata(job).id for job in listed["jobs"]] == ids[:1]
    return judged


def template_requests(item, reference, bundle):
    """What each template sends, one after the other: validated, priced, and executed when it is valid."""

    class NoSuchProcess(processing_templates.SingleItemJobTemplate):
        process_id = "no-such-process"
        workspace_id = ""

    by_item = processing_templates.SingleItemJobTemplate, processing_templates.SimularityJobTemplate
    templates = [
        one for one in vars(processing_templates).values() if isinstance(one, type) and issubclass(one, by_item)
    ]
    red = [processing_templates.GreyWeight("red", 0.25), processing_templates.GreyWeight("nir", 0.5)]
    cases = [
        *((template, {}, item) for template in templates if hasattr(template, "process_id")),
        (processing_templates.DetectionChangeSimularity, {"sensitivity": 5}, item),
        (processing_templates.Pansharpening, {}, bundle),
        (processing_templates.Pansharpening, {"grey_weights": red}, bundle),
        (NoSuchProcess, {}, item),
    ]
    told = []
    for template, options, first in cases:
        mark(len(told))
        is_pair = issubclass(template, processing_templates.SimularityJobTemplate)
        items = {"source_item": first, "reference_item": reference} if is_pair else {"item": first}
        job = template(title="sdk sends", **items, **options)
        told.append(
            {
                "process_id": template.process_id,
                "items": [one.get_self_href() for one in items.values()],
                "options": {"grey_weights": [vars(weight) for weight in red]} if "grey_weights" in options else options,
                "errors": sorted(error.name for error in job.errors),
            }
        )
        if job.is_valid:
            decide("job", "running")
            job.execute()
    mark("end")
    return told


def unlicensed(item):
    """A template whose process's EULA is not accepted."""
    process = up42.base.workspace.session.get(host.endpoint("/v2/processing/processes/detection-trees-spacept")).json()
    [eula_id] = next(one["value"] for one in process["additionalParameters"]["parameters"] if one["name"] == "eula-id")
    access = {"url": f"{BASE}/sandbox/access", "timeout": 5}
    requests.post(json={"eulas": {eula_id: False}}, **access).raise_for_status()
    mark("unlicensed")
    job = processing_templates.DetectionTreesSpacept(title="sdk sends", item=item)
    mark("end")
    requests.post(json={"eulas": {eula_id: True}}, **access).raise_for_status()
    return {"eula": eula_id, "item": item.get_self_href(), "errors": sorted(error.name for error in job.errors)}


def budgets(product, scene):
    """List, get, usage, settings; an order on a budget, and off it again."""
    everything = list(up42.Budget.all(sort_by=up42.BudgetSorting.updated_at.desc, include_usage=True))
    active = list(up42.Budget.all(status=["ACTIVE"]))
    inactive = list(up42.Budget.all(status=["INACTIVE"]))
    assert {one.id for one in everything} == {one.id for one in [*active, *inactive]}
    budget = up42.Budget.get(active[0].id, include_usage=True)
    assert budget.consumed_credits is not None
    usage = budget.get_usage()
    assert usage == BudgetUsage(budget_id=budget.id, consumed_credits=budget.consumed_credits)
    settings = up42.BudgetSettings.get()
    template = up42.BatchOrderTemplate(
        data_product_id=product.id,
        display_name="sdk budget",
        features=features(AREA),
        params={"id": scene.id},
        budget_id=budget.id,
    )
    order = template.place()[0].order
    assert [one.id for one in up42.Order.all(budget_ids=[budget.id])] == [order.id]
    up42.Order.update(order.id, budget_id=None)
    assert not list(up42.Order.all(budget_ids=[budget.id]))
    return {"budgets": len(everything), "enforced": settings.enforcement_enabled}


def tasking(collection):
    """A tasking order through feasibility study and quotation; a second one is rejected."""
    decided = {}
    product = collection.data_products[0]
    assert "acquisitionStart" in product.schema["properties"]
    for decision in ("accept", "reject"):
        start = dt.datetime.now(dt.UTC) + dt.timedelta(days=3)
        params = {
            "displayName": f"sdk {decision}",
            "acquisitionStart": start.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "acquisitionEnd": (start + dt.timedelta(days=14)).strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        for name in set(product.schema["required"]) - set(params) - {"geometry"}:
            params[name] = {"cloudCoverage": 10, "incidenceAngle": 20}.get(name, "mono")
        order = (
            up42.BatchOrderTemplate(
                data_product_id=product.id, display_name=f"sdk {decision}", features=features(AREA), params=params
            )
            .place()[0]
            .order
        )
        assert order.type == "TASKING"
        study = awaited(lambda o=order: next(iter(up42.FeasibilityStudy.all(order_id=o.id)), None))
        assert [one.id for one in up42.FeasibilityStudy.all(feasibility_study_id=study.id)] == [study.id]
        undecided = up42.FeasibilityStudy.all(
            decision=["NOT_DECIDED"],
            workspace_id=order.workspace_id,
            sort_by=up42.FeasibilityStudySorting.created_at.desc,
        )
        assert study.id in {one.id for one in undecided}
        try:
            study.save()
        except up42.FeasibilityStudy.NoDecisionOptionChosen:
            study.accept(study.options[0]["id"])
        study.save()
        assert study.decision == "ACCEPTED"
        assert refusal(study.save) == 405

        quotation = awaited(lambda o=order: next(iter(up42.Quotation.all(order_id=o.id)), None))
        assert quotation.credits_price > 0
        waiting = up42.Quotation.all(
            quotation_id=quotation.id, decision=["NOT_DECIDED"], sort_by=up42.QuotationSorting.credits_price.asc
        )
        assert [one.id for one in waiting] == [quotation.id]
        if decision == "accept":
            quotation.accept()
        else:
            quotation.reject()
        quotation.save()
        end = {"accept": "FULFILLED", "reject": "CANCELED"}[decision]
        awaited(lambda o=order, e=end: up42.Order.get(o.id).status == e)
        decided[quotation.decision] = end
        coverage = up42.OrderCoverage.get(order.id)
        assert (coverage.covered.percentage > 50) == (decision == "accept")
        assert round(coverage.covered.percentage + coverage.remainder.percentage) == 100
    return decided


def unused():
    """Public names of the SDK that this scenario never mentions."""
    source = Path(__file__).read_text()
    names = {f"up42.{name}" for name in up42.__all__}
    for part in (getattr(up42, name) for name in up42.__all__):
        members = vars(part).items() if isinstance(part, type) else ()
        names |= {f".{name}" for name, value in members if callable(value) or isinstance(value, _DESCRIPTORS)}
    return sorted(name for name in names if not name.startswith("._") and name not in source)


def main():
    """Run everything; print what was seen."""
    warnings.simplefilter("ignore", FutureWarning)  # the SDK's own
    up42.authenticate(username="sandbox@example.com", password="sandbox")
    seen, product, scenes, tasking_collection = glossary()
    seen["catalogue"] = catalogue(scenes)
    orders = archive_orders(product, scenes)
    seen["orders"] = [order.id for order in orders]
    seen["cancellation"] = cancellation(product, scenes[3])
    stored, item = storage(orders[0])
    seen |= stored
    seen["deletion"] = deletion(orders[1])
    reference = storage(orders[2])[1]
    seen["templates"] = job_templates(item, reference)
    seen["sent"] = template_requests(item, reference, bundled(scenes[0]))
    seen["unlicensed"] = unlicensed(item)
    seen |= budgets(product, scenes[4])
    seen["tasking"] = tasking(tasking_collection)
    seen["unused"] = unused()
    sys.stdout.write(json.dumps(seen))


main()
