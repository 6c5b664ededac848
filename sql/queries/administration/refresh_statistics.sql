-- administration/refresh_statistics
SELECT refresh_tenant_statistics()
