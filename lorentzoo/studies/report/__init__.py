"""How the results of a study are told: tables, figures, a page, and files of them."""
