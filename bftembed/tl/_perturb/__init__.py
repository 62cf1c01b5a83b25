"""What `PerturbationModel` is made of: reading a screen, and how alike its parts are."""
