use super::*;

#[test]
fn dates_print_as_airflows_do() {
    assert_eq!(rendered("{{ ds }}"), "2025-01-31");
    assert_eq!(rendered("{{ ts }}"), "2025-01-31T06:00:00+00:00");
    assert_eq!(rendered("x {{ logical_date }}"), "x 2025-01-31 06:00:00+00:00");
}
