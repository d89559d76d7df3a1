//! Patterns of codes and statuses.

use super::*;

#[test]
fn codes() {
    let matches = |pattern: &str, code| CodePattern::parse(pattern).unwrap().matches(Some(code), None);
    assert!(matches("550", 550) && !matches("550", 551));
    assert!(matches("55x", 550) && matches("55x", 559) && !matches("55x", 560));
    assert!(matches("5xx", 599) && !matches("5xx", 499));
    for bad in ["", "55", "5500", "x50", "5x0", "xxx", "+50", "５"] {
        assert_eq!(CodePattern::parse(bad), None, "{bad}");
    }
}

#[test]
fn statuses() {
    let matches = |pattern: &str, class, subject, detail| {
        StatusPattern::parse(pattern).unwrap().matches(EnhancedStatus { class, subject, detail })
    };
    assert!(matches("5.7.1", 5, 7, 1) && !matches("5.7.1", 4, 7, 1));
    assert!(matches("x.7.1", 4, 7, 1) && !matches("x.7.1", 2, 7, 1));
    assert!(matches("5.7.606-649", 5, 7, 606) && matches("5.7.606-649", 5, 7, 649));
    assert!(!matches("5.7.606-649", 5, 7, 605) && !matches("5.7.606-649", 5, 7, 650));
    assert!(matches("5.7.x", 5, 7, 999) && !matches("5.7.x", 5, 6, 0));
    for bad in ["", "5.7", "5.7.1.2", "2.0.0", "5.x.1", "5.7.9-1", "5.7.-", "5.7.1000", "5.7.+1"] {
        assert_eq!(StatusPattern::parse(bad), None, "{bad}");
    }
}
