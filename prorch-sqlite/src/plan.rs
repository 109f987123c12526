//! What SQLite says that it will do, for tests.

/// The plan of a statement, on tables without rows.
pub(crate) fn plan(sql: &str) -> String {
    let connection = crate::open::in_memory().unwrap();
    let mut statement = connection.prepare(&["EXPLAIN QUERY PLAN ", sql].concat()).unwrap();
    let values = vec![1; statement.parameter_count()];
    let lines =
        statement.query_map(rusqlite::params_from_iter(values), |row| row.get::<_, String>(3)).unwrap();
    lines.collect::<Result<Vec<_>, _>>().unwrap().join("; ")
}
