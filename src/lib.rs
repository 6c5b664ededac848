//! Bailiwick: an MCP server that gives AI agents one safe, fast and accountable door to an organisation's documents,
//! on PostgreSQL + pgvector. ARCHITECTURE.md has the map.

#![forbid(unsafe_code)]

pub mod archiving;
pub mod audit;
pub mod backup;
pub mod call;
pub mod cli;
pub mod configuration;
pub mod connect;
pub mod costs;
pub mod db;
pub mod demo;
pub mod diagnosis;
pub mod documents;
pub mod embedded;
pub mod embedding;
pub mod http;
pub mod identity;
pub mod ingest;
pub mod maintenance;
pub mod mcp;
pub mod migrations;
pub mod resources;
pub mod search;
pub mod startup;
pub mod telemetry;
pub mod tenants;
pub mod tools;
pub mod trail;
