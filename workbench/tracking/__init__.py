"""MLflow's runs, made true from run records and candidates; live while DVC works."""
