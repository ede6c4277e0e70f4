//! WMI object paths.

use winremote::cim::Reference;

#[test]
fn a_full_path_doubles_backslashes_in_keys() {
    let reference = Reference::new("root/virtualization/v2", "Msvm_StorageAllocationSettingData")
        .with_key("InstanceID", r#"Microsoft:7F1B\83F8638B\0\0\D "x""#)
        .on_host("HV1");
    let path = r#"\\HV1\root\virtualization\v2:Msvm_StorageAllocationSettingData.InstanceID="Microsoft:7F1B\\83F8638B\\0\\0\\D \"x\"""#;
    assert_eq!(reference.to_object_path(), path);
    assert_eq!(Reference::parse_object_path(path).unwrap(), reference);
}

#[test]
fn shorter_forms_are_read_too() {
    let one = |text: &str| Reference::parse_object_path(text).unwrap();
    let keyed = Reference::new("", "Msvm_X").with_key("A", "1:{2}").with_key("B", "3");
    assert_eq!(one(r#"Msvm_X.A="1:{2}",B=3"#), keyed);
    assert_eq!(one(r#"\\.\root\cimv2:Win32_Service.Name="vmms""#).host, None);
    assert_eq!(one("//HV1/root/cimv2:Win32_OperatingSystem=@").host.as_deref(), Some("HV1"));
    assert_eq!(
        one("root/cimv2:Win32_OperatingSystem=@"),
        Reference::new("root/cimv2", "Win32_OperatingSystem")
    );
    assert_eq!(one(r#"Win32_LogicalDisk="C:""#).key(""), Some("C:"));
    assert_eq!(one("Msvm_X").key_count(), 0);
}

#[test]
fn the_same_object_can_be_told_in_several_ways() {
    let full = Reference::new("root/v2", "Msvm_X").with_key("InstanceID", "a").on_host("HV1");
    let short = Reference::new("", "MSVM_x").with_key("instanceid", "a");
    assert!(full.same_object(&short));
    assert!(!full.same_object(&Reference::new("", "Msvm_X").with_key("InstanceID", "A")));
    assert!(!full.same_object(&Reference::new("root/v1", "Msvm_X").with_key("InstanceID", "a")));
    assert!(!full.same_object(&Reference::new("", "Msvm_X")));
}

#[test]
fn what_is_no_path_is_not_read() {
    let cases = [
        ("", "it has no class name"),
        (r"C:\VMs\a.vhdx", "it has no class name"),
        (r#"\\HV1:Msvm_X.A="1""#, "it names a host but no namespace"),
        (r#"\\\root:Msvm_X.A="1""#, "its host or namespace is not well formed"),
        ("Msvm_X.A", "a key has no value"),
        ("Msvm_X.A=", "a key has no value"),
        (r#"Msvm_X.="1""#, "a key has no name"),
        (r#"Msvm_X.A="1"#, "a key's quotes are not closed"),
        (r#"Msvm_X.A="1\"#, "a key's quotes are not closed"),
        (r#"Msvm_X.A="1"B"#, "something follows a key's value"),
        (r#"Msvm_X.A="1",a="2""#, "a key stands twice"),
        ("Msvm_X.A=b c", "a key's text is not in quotes"),
    ];
    for (text, why) in cases {
        let error = Reference::parse_object_path(text).unwrap_err().to_string();
        assert_eq!(error, format!("{text:?} is not an object path: {why}"));
    }
    assert!(Reference::parse_object_path(&format!("A.B=\"{}\"", "x".repeat(70_000))).is_err());
}
