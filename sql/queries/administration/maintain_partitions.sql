-- administration/maintain_partitions
SELECT maintain_partitions() AS created
