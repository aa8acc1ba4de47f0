"""The engines that methods are made of: batches of examples, paths of points, backward rules, activation maps."""
