"""The schema's history; Alembic walks it forward when a database is opened."""
