"""How a net is made smaller or faster: the algorithms behind the passes."""
