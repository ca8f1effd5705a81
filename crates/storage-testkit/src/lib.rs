//! Proves a storage driver: simulated driver, crash loop, fault injection, conformance suite.
