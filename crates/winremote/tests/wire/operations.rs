//! Each operation there and back.

use winremote::cim::{Instance, Value};

use crate::support::{NAMESPACE, client, disk, lab, reference};

#[tokio::test]
async fn identify_tells_the_windows_version_only_to_those_who_sign_in() {
    let client = client(lab(0));
    assert_eq!(client.identify().await.unwrap().os_version(), Some("10.0.20348"));
    let stranger = client.identify_unauthenticated().await.unwrap();
    assert_eq!(stranger.product_version, "OS: 0.0.0 SP: 0.0 Stack: 3.0");
    assert_eq!(stranger.os_version(), None);
}

#[tokio::test]
async fn get_brings_every_kind_of_value() {
    let found = client(lab(3)).get(&reference(2)).await.unwrap();
    assert_eq!((found.class.as_str(), found.namespace.as_str()), ("Lab_Disk", NAMESPACE));
    assert_eq!(found.get_str("Name").unwrap(), "disk 2 <&> \"'");
    assert_eq!(found.get_u64("Size").unwrap(), u64::MAX - 2);
    assert!(found.get_bool("Online").unwrap());
    assert_eq!(found.get("Comment"), Some(&Value::Text(String::new())));
    assert_eq!(found.get("Caption"), Some(&Value::Null));
    assert!(found.get_array::<u16>("None").unwrap().is_empty());
    assert_eq!(found.get_array::<u16>("One").unwrap(), [7]);
    assert_eq!(found.get_array::<u16>("OperationalStatus").unwrap(), [2, 32772]);
    assert_eq!(found.get("Created"), disk(2).get("Created"));
    assert_eq!(found.get("Age"), disk(2).get("Age"));
    assert!(found.get_reference("Parent").unwrap().same_object(&reference(3)));
}

#[tokio::test]
async fn a_query_brings_all_pages_in_order() {
    let found = client(lab(5)).query("", "select * from Lab_Disk where Number > 0").await.unwrap();
    let numbers: Vec<u32> = found.iter().map(|disk| disk.get_u32("Number").unwrap()).collect();
    assert_eq!(numbers, [1, 2, 3, 4]);
}

#[tokio::test]
async fn a_query_for_columns_brings_only_those() {
    let found = client(lab(2)).query(NAMESPACE, "select Number, Caption from Lab_Disk").await.unwrap();
    let names: Vec<&str> = found[1].iter().map(|(name, _)| name).collect();
    assert_eq!((found[1].class.as_str(), names), ("Lab_Disk", vec!["Caption", "Number"]));
    assert_eq!(found[1].get_u32("Number").unwrap(), 1);
}

#[tokio::test]
async fn a_class_can_be_enumerated_without_a_query() {
    assert_eq!(client(lab(4)).enumerate("", "Lab_Disk").await.unwrap().len(), 4);
}

#[tokio::test]
async fn associators_name_their_source_with_doubled_backslashes() {
    let found = client(lab(3)).associators(&reference(1), "Lab_Chain", "Lab_Disk").await.unwrap();
    assert_eq!(found[0].get_u32("Number").unwrap(), 2);
}

#[tokio::test]
async fn invoke_carries_references_embedded_instances_and_arrays() {
    let settings =
        Instance::new("Lab_Settings").with("Level", 1u8).with("Paths", vec![r"C:\a\b.vhdx", "<&>"]);
    let output = client(lab(1))
        .invoke(
            &reference(0),
            "Echo",
            [
                ("System", Value::from(reference(0))),
                ("Settings", settings.clone().into()),
                ("Many", vec![settings.clone(), settings.clone()].into()),
                ("Names", vec!["a", "", "c"].into()),
                ("Type", 32768u16.into()),
                ("Nothing", Value::Null),
            ],
        )
        .await
        .unwrap();
    assert_eq!(output.return_value, 0);
    assert!(output.values.get_reference("System").unwrap().same_object(&reference(0)));
    assert_eq!(output.values.get_embedded("Settings").unwrap(), settings);
    assert_eq!(output.values.get_array::<Instance>("Many").unwrap(), [settings.clone(), settings]);
    assert_eq!(output.values.get_array::<String>("Names").unwrap(), ["a", "", "c"]);
    assert_eq!(output.values.get_u16("Type").unwrap(), 32768);
    assert_eq!(output.values.get("Nothing"), Some(&Value::Null));
}

#[tokio::test]
async fn a_job_comes_back_as_a_reference() {
    let output = client(lab(1)).invoke(&reference(0), "Start", [("x", Value::Null)]).await.unwrap();
    assert_eq!(output.return_value, 4096);
    assert!(output.values.get_reference("Job").unwrap().same_object(&reference(9)));
    assert!(!output.values.has("Result"));
}
