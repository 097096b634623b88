"""Reports of a period: built once from the store within a scope, then shown as page, HTML, PDF or CSV."""
