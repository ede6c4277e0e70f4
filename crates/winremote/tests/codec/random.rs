//! Round trips of random content, and readers that must survive random text.

use proptest::prelude::*;
use winremote::cim::{DateTime, Instance, Interval, Reference, Value, embedded};
use winremote::wsman::wql::{Associators, Condition, Literal, Operator, Query, Select, parse};

/// What XML 1.0 can carry.
fn text() -> impl Strategy<Value = String> {
    proptest::collection::vec(
        prop_oneof![
            4 => proptest::char::range(' ', '~'),
            1 => proptest::sample::select(vec!['\\', '"', '\'', '<', '>', '&', '\r', '\n', '\t', 'ä', '\u{1f600}', '{', '}']),
        ],
        0..20,
    )
    .prop_map(|letters| letters.into_iter().collect())
}

fn name() -> impl Strategy<Value = String> {
    // The leading letters keep it from being a keyword of WQL.
    "X[A-Za-z0-9_]{0,8}"
}

fn datetime() -> impl Strategy<Value = DateTime> {
    (-62_135_000_000_000_000i64..253_402_000_000_000_000, -999i16..=999)
        .prop_filter_map("outside of the calendar", |(micros, offset)| DateTime::with_offset(micros, offset))
}

fn interval() -> impl Strategy<Value = Interval> {
    (0u64..8_640_000_000_000_000_000).prop_filter_map("too long", Interval::from_micros)
}

fn reference() -> impl Strategy<Value = Reference> {
    let keys = proptest::collection::vec((name(), text()), 0..4);
    (proptest::option::of("[A-Z0-9]{1,8}"), "[a-z0-9]{1,5}(/[a-z0-9]{1,5}){0,2}", name(), keys).prop_map(
        |(host, namespace, class, keys)| {
            let start = Reference::new(namespace, class);
            let reference =
                keys.into_iter().fold(start, |reference, (name, value)| reference.with_key(name, value));
            match host {
                Some(host) => reference.on_host(host),
                None => reference,
            }
        },
    )
}

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<bool>().prop_map(Value::from),
        any::<u8>().prop_map(Value::from),
        any::<u16>().prop_map(Value::from),
        any::<u32>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<i8>().prop_map(Value::from),
        any::<i16>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-1e9f64..1e9).prop_map(Value::from),
        text().prop_map(Value::from),
        datetime().prop_map(Value::from),
        interval().prop_map(Value::from),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        1 => Just(Value::Null),
        6 => scalar(),
        1 => proptest::collection::vec(any::<u64>(), 0..5).prop_map(Value::from),
        1 => proptest::collection::vec(text(), 0..5).prop_map(Value::from),
        1 => proptest::collection::vec(datetime(), 0..5).prop_map(Value::from),
        1 => reference().prop_map(Value::from),
    ]
}

fn instance() -> impl Strategy<Value = Instance> {
    (name(), proptest::collection::vec((name(), value()), 0..8)).prop_map(|(class, properties)| {
        properties
            .into_iter()
            .fold(Instance::new(class), |instance, (name, value)| instance.with(name, value))
    })
}

fn condition() -> impl Strategy<Value = Condition> {
    let operator = proptest::sample::select(vec![
        Operator::Equal,
        Operator::NotEqual,
        Operator::Less,
        Operator::LessOrEqual,
        Operator::Greater,
        Operator::GreaterOrEqual,
    ]);
    let literal = prop_oneof![
        text().prop_map(Literal::Text),
        any::<i64>().prop_map(|number| Literal::Number(number.into())),
        any::<bool>().prop_map(Literal::Bool),
    ];
    let leaf = prop_oneof![
        (name(), operator, literal).prop_map(|(property, operator, literal)| Condition::Compare {
            property,
            operator,
            literal
        }),
        (name(), text()).prop_map(|(property, pattern)| Condition::Like { property, pattern }),
        (name(), any::<bool>()).prop_map(|(property, negated)| Condition::IsNull { property, negated }),
    ];
    leaf.prop_recursive(4, 16, 2, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| Condition::And(Box::new(a), Box::new(b))),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| Condition::Or(Box::new(a), Box::new(b))),
            inner.prop_map(|inner| Condition::Not(Box::new(inner))),
        ]
    })
}

fn query() -> impl Strategy<Value = Query> {
    let select = (proptest::collection::vec(name(), 0..3), name(), proptest::option::of(condition()))
        .prop_map(|(columns, class, condition)| Query::Select(Select { columns, class, condition }));
    let of = (reference(), proptest::option::of(name()), proptest::option::of(name())).prop_map(
        |(source, assoc_class, result_class)| {
            Query::Associators(Associators {
                source,
                assoc_class,
                result_class,
                role: None,
                result_role: None,
            })
        },
    );
    prop_oneof![3 => select, 1 => of]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    #[test]
    fn embedded_instances_come_back_as_they_went(instance in instance()) {
        prop_assert_eq!(embedded::decode(&embedded::encode(&instance)).unwrap(), instance);
    }

    #[test]
    fn object_paths_come_back_as_they_went(reference in reference()) {
        prop_assert_eq!(Reference::parse_object_path(&reference.to_object_path()).unwrap(), reference);
    }

    #[test]
    fn queries_come_back_as_they_went(query in query()) {
        prop_assert_eq!(parse(&query.to_string()).unwrap(), query);
    }

    #[test]
    fn times_come_back_as_they_went(moment in datetime(), interval in interval()) {
        prop_assert_eq!(DateTime::parse_iso(&moment.to_iso()), Some(moment));
        prop_assert_eq!(DateTime::parse_cim(&moment.to_cim()), Some(moment));
        prop_assert_eq!(Interval::parse_iso(&interval.to_iso()), Some(interval));
        prop_assert_eq!(Interval::parse_cim(&interval.to_cim()), Some(interval));
    }

    #[test]
    fn readers_survive_any_text(text in ".{0,80}") {
        let _ = Reference::parse_object_path(&text);
        let _ = parse(&text);
        let _ = DateTime::parse_iso(&text);
        let _ = DateTime::parse_cim(&text);
        let _ = Interval::parse_iso(&text);
        let _ = Interval::parse_cim(&text);
        prop_assert!(embedded::decode(&text).is_err());
    }

    #[test]
    fn readers_survive_damage(query in query(), instance in instance(), at in any::<proptest::sample::Index>(), letter in any::<char>()) {
        let damaged = |text: String| {
            let letters: Vec<char> = text.chars().collect();
            let at = at.index(letters.len());
            letters.iter().enumerate().map(|(index, old)| if index == at { letter } else { *old }).collect::<String>()
        };
        let _ = parse(&damaged(query.to_string()));
        let _ = embedded::decode(&damaged(embedded::encode(&instance)));
    }
}
