"""From journeys and charges to credits: models, exact allocation, recompute."""
