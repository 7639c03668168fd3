"""The sandbox's tables. Times are microseconds since 1970 on the world's clock, lists and objects are JSON."""

from __future__ import annotations

VERSION = 4
"""Raised whenever a table or the JSON in one changes: a state folder of another version is refused, not migrated."""

TABLES = """
CREATE TABLE settings (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE credits (number INTEGER PRIMARY KEY, at INTEGER NOT NULL, amount INTEGER NOT NULL,
    reason TEXT NOT NULL) STRICT;

CREATE TABLE budgets (
    number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, name TEXT NOT NULL, description TEXT,
    external_id TEXT, status TEXT NOT NULL, spend_limit INTEGER, start_date TEXT, end_date TEXT,
    created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL) STRICT;
INSERT INTO budgets (id, name, description, status, spend_limit, created_at, updated_at) VALUES
    ('b0d9e700-0000-4000-8000-000000000001', 'Monitoring', 'Has a limit', 'ACTIVE', 50000,
        1767225600000000, 1767225600000000),
    ('b0d9e700-0000-4000-8000-000000000002', 'Research', 'Has no limit', 'ACTIVE', NULL,
        1767312000000000, 1767312000000000),
    ('b0d9e700-0000-4000-8000-000000000003', 'Last year', 'Closed', 'INACTIVE', 100000,
        1767398400000000, 1767398400000000);
CREATE TABLE refused_eulas (id TEXT PRIMARY KEY) STRICT;
CREATE TABLE restricted_collections (name TEXT PRIMARY KEY) STRICT;
CREATE TABLE fates (number INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, fate TEXT NOT NULL) STRICT;

CREATE TABLE orders (
    number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, type TEXT NOT NULL DEFAULT 'ARCHIVE',
    product_id TEXT NOT NULL, scene_id TEXT, collection TEXT NOT NULL, display_name TEXT NOT NULL, tags TEXT,
    budget_id TEXT, details TEXT NOT NULL, credits INTEGER, fate TEXT, created_at INTEGER NOT NULL,
    patched_at INTEGER) STRICT;
CREATE INDEX orders_of_scene ON orders (scene_id, product_id);
CREATE TABLE order_events (order_id TEXT NOT NULL REFERENCES orders (id), at INTEGER NOT NULL, step INTEGER NOT NULL,
    status TEXT NOT NULL, sub_status TEXT, PRIMARY KEY (order_id, at, step)) STRICT, WITHOUT ROWID;
CREATE INDEX order_events_by_time ON order_events (at);
CREATE TABLE studies (
    number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, order_id TEXT NOT NULL REFERENCES orders (id),
    created_at INTEGER NOT NULL, options TEXT NOT NULL, accepted_option_id TEXT, decided_at INTEGER) STRICT;
CREATE TABLE quotations (
    number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, order_id TEXT NOT NULL REFERENCES orders (id),
    created_at INTEGER NOT NULL, credits INTEGER NOT NULL, decision TEXT NOT NULL DEFAULT 'NOT_DECIDED',
    decided_at INTEGER) STRICT;

CREATE TABLE jobs (
    number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, process_id TEXT NOT NULL, inputs TEXT NOT NULL,
    items TEXT NOT NULL, credits INTEGER NOT NULL, errors TEXT, budget_id TEXT, created_at INTEGER NOT NULL) STRICT;
CREATE INDEX jobs_of_items ON jobs (process_id, items);
CREATE TABLE job_events (job_id TEXT NOT NULL REFERENCES jobs (id), at INTEGER NOT NULL, step INTEGER NOT NULL,
    status TEXT NOT NULL, PRIMARY KEY (job_id, at, step)) STRICT, WITHOUT ROWID;
CREATE INDEX job_events_by_time ON job_events (at);
CREATE INDEX job_events_by_status ON job_events (status, job_id, at);

CREATE TABLE deliveries (
    number INTEGER PRIMARY KEY AUTOINCREMENT, asset_id TEXT NOT NULL UNIQUE, order_id TEXT REFERENCES orders (id),
    job_id TEXT REFERENCES jobs (id), collection_id TEXT NOT NULL UNIQUE, item_id TEXT NOT NULL UNIQUE,
    visible_at INTEGER NOT NULL, items_at INTEGER NOT NULL, content TEXT NOT NULL, title TEXT, tags TEXT,
    item_title TEXT, item_tags TEXT, patched_at INTEGER) STRICT;
CREATE INDEX deliveries_of_order ON deliveries (order_id);
CREATE INDEX deliveries_of_job ON deliveries (job_id);
CREATE TABLE files (
    id TEXT PRIMARY KEY, asset_id TEXT NOT NULL REFERENCES deliveries (asset_id), kind TEXT NOT NULL,
    name TEXT NOT NULL, media_type TEXT NOT NULL, size INTEGER, md5 TEXT, crc32c TEXT) STRICT;
CREATE INDEX files_of_asset ON files (asset_id);

CREATE TABLE webhooks (
    number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, name TEXT NOT NULL, url TEXT NOT NULL,
    events TEXT NOT NULL, active INTEGER NOT NULL, secret TEXT NOT NULL, created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL) STRICT;
CREATE TABLE webhook_messages (
    number INTEGER PRIMARY KEY AUTOINCREMENT, webhook_id TEXT NOT NULL REFERENCES webhooks (id) ON DELETE CASCADE,
    id TEXT NOT NULL, due_at INTEGER NOT NULL, body TEXT NOT NULL, tries INTEGER NOT NULL DEFAULT 0,
    answer TEXT) STRICT;
"""
