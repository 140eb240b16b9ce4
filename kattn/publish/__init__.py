"""`python -m kattn.publish`: tables, pages, type stubs and packaged weights, for the maintainers of a checkout."""
