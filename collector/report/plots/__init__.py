"""Pictures of an audit as SVG, drawn here so that a document needs nothing from outside. Pure."""
