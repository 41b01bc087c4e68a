"""Many runs as groups of seeds: what they scored, how sure that is, and pages that say so."""
