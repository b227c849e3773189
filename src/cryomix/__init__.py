"""cryomix: how a molecule moves and what it is made of, from cryo-EM single particles."""
