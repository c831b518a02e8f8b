# SPDX-License-Identifier: GPL-2.0-or-later
# `terraform test` or `tofu test` in the folder above: plans with a provider that asks nobody.

mock_provider "azurerm" {
  mock_resource "azurerm_storage_account" {
    defaults = {
      id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/g/providers/Microsoft.Storage/storageAccounts/images"
    }
  }
  mock_resource "azurerm_storage_blob" {
    defaults = {
      url = "https://images.blob.core.windows.net/images/node.vhd"
    }
  }
  mock_resource "azurerm_shared_image_version" {
    defaults = {
      id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/g/providers/Microsoft.Compute/galleries/gantry/images/node/versions/1.2.3"
    }
  }
  mock_resource "azurerm_linux_virtual_machine" {
    defaults = {
      id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/g/providers/Microsoft.Compute/virtualMachines/a"
    }
  }
  mock_resource "azurerm_managed_disk" {
    defaults = {
      id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/g/providers/Microsoft.Compute/disks/a"
    }
  }
  mock_resource "azurerm_network_interface" {
    defaults = {
      id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/g/providers/Microsoft.Network/networkInterfaces/a"
    }
  }
  mock_resource "azurerm_network_security_group" {
    defaults = {
      id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/g/providers/Microsoft.Network/networkSecurityGroups/a"
    }
  }
  mock_resource "azurerm_public_ip" {
    defaults = {
      id         = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/g/providers/Microsoft.Network/publicIPAddresses/a"
      ip_address = "192.0.2.7"
    }
  }
}

variables {
  resource_group_name  = "g"
  location             = "westeurope"
  storage_account_name = "images"
  image_name           = "node"
  identifier           = { publisher = "somebody", offer = "gantry", sku = "node" }
  releases             = { "1.2.3" = "tests/release" }

  machines = {
    a = {
      size      = "Standard_EC16es_v5"
      version   = "1.2.3"
      subnet_id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/g/providers/Microsoft.Network/virtualNetworks/n/subnets/s"
      data_disk = { size_gib = 4094 }
    }
  }
}

run "a_machine_with_nothing_but_what_has_to_be_said" {
  command = plan

  assert {
    condition = (azurerm_linux_virtual_machine.machine["a"].os_disk[0].security_encryption_type == "VMGuestStateOnly" &&
      azurerm_linux_virtual_machine.machine["a"].vtpm_enabled && !azurerm_linux_virtual_machine.machine["a"].provision_vm_agent &&
    length(azurerm_linux_virtual_machine.machine["a"].boot_diagnostics) == 0)
    error_message = "confidential, with a vTPM, without an agent, without boot diagnostics"
  }
  assert {
    condition     = azurerm_shared_image.image.hyper_v_generation == "V2" && azurerm_shared_image.image.confidential_vm_supported
    error_message = "generation 2 and confidential"
  }
  assert {
    condition = (azurerm_virtual_machine_data_disk_attachment.data["a"].lun == 10 &&
      azurerm_virtual_machine_data_disk_attachment.data["a"].caching == "ReadOnly" &&
    azurerm_managed_disk.data["a"].performance_plus_enabled)
    error_message = "the lun of the release, ReadOnly, performance plus"
  }
  assert {
    condition     = [for rule in azurerm_network_security_group.machine["a"].security_rule : rule.access] == ["Deny"]
    error_message = "closed by default"
  }
  assert {
    condition     = output.expected_measurements["a"][0].attestation_type == "azure-tdx"
    error_message = "the measurements of the release"
  }
}

run "ports_are_opened_for_those_who_are_named" {
  command = plan

  variables {
    machines = {
      a = {
        size      = "Standard_DC2es_v6"
        version   = "1.2.3"
        subnet_id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/g/providers/Microsoft.Network/virtualNetworks/n/subnets/s"
        data_disk = { size_gib = 4095 }
        api_from  = ["192.0.2.0/24", "198.51.100.0/24"]
        ssh_from  = ["192.0.2.0/24"]
        open      = { p2p = { port = 30303, protocol = "Udp" } }
      }
    }
  }

  assert {
    condition = toset([for rule in azurerm_network_security_group.machine["a"].security_rule :
      "${rule.destination_port_range} ${rule.protocol} ${join(",", coalesce(rule.source_address_prefixes, []))} ${coalesce(rule.source_address_prefix, "-")} ${rule.access}"]) == toset([
      "3535 Tcp 192.0.2.0/24,198.51.100.0/24 - Allow", "40192 Tcp  192.0.2.0/24 Allow", "30303 Udp  Internet Allow", "* *  * Deny"
    ])
    error_message = "the System API, SSH and p2p, each for those who are named"
  }
  assert {
    condition     = azurerm_virtual_machine_data_disk_attachment.data["a"].caching == "None"
    error_message = "None from 4,095 GiB on"
  }
}

run "a_size_without_tdx_is_refused" {
  command = plan

  variables {
    machines = {
      a = {
        size      = "Standard_D16s_v5"
        version   = "1.2.3"
        subnet_id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/g/providers/Microsoft.Network/virtualNetworks/n/subnets/s"
        data_disk = { size_gib = 4094 }
      }
    }
  }

  expect_failures = [var.machines]
}

run "read_write_caching_is_refused" {
  command = plan

  variables {
    machines = {
      a = {
        size      = "Standard_EC16es_v5"
        version   = "1.2.3"
        subnet_id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/g/providers/Microsoft.Network/virtualNetworks/n/subnets/s"
        data_disk = { size_gib = 1024, caching = "ReadWrite" }
      }
    }
  }

  expect_failures = [var.machines]
}

run "caching_of_a_disk_that_is_too_large_is_refused" {
  command = plan

  variables {
    machines = {
      a = {
        size      = "Standard_EC16es_v5"
        version   = "1.2.3"
        subnet_id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/g/providers/Microsoft.Network/virtualNetworks/n/subnets/s"
        data_disk = { size_gib = 4096, caching = "ReadOnly" }
      }
    }
  }

  expect_failures = [var.machines]
}

run "an_ultra_disk_is_refused" {
  command = plan

  variables {
    machines = {
      a = {
        size      = "Standard_EC16es_v5"
        version   = "1.2.3"
        subnet_id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/g/providers/Microsoft.Network/virtualNetworks/n/subnets/s"
        data_disk = { size_gib = 1024, type = "UltraSSD_LRS" }
      }
    }
  }

  expect_failures = [var.machines]
}

run "premium_v2_without_a_zone_is_refused" {
  command = plan

  variables {
    machines = {
      a = {
        size      = "Standard_EC16es_v5"
        version   = "1.2.3"
        subnet_id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/g/providers/Microsoft.Network/virtualNetworks/n/subnets/s"
        data_disk = { size_gib = 1024, type = "PremiumV2_LRS" }
      }
    }
  }

  expect_failures = [var.machines]
}

run "performance_plus_of_a_small_disk_is_refused" {
  command = plan

  variables {
    machines = {
      a = {
        size      = "Standard_EC16es_v5"
        version   = "1.2.3"
        subnet_id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/g/providers/Microsoft.Network/virtualNetworks/n/subnets/s"
        data_disk = { size_gib = 512, performance_plus = true }
      }
    }
  }

  expect_failures = [var.machines]
}

run "the_system_api_for_everybody_is_refused" {
  command = plan

  variables {
    machines = {
      a = {
        size      = "Standard_EC16es_v5"
        version   = "1.2.3"
        subnet_id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/g/providers/Microsoft.Network/virtualNetworks/n/subnets/s"
        data_disk = { size_gib = 4094 }
        api_from  = ["Internet"]
      }
    }
  }

  expect_failures = [var.machines]
}

run "ssh_for_everybody_is_refused" {
  command = plan

  variables {
    machines = {
      a = {
        size      = "Standard_EC16es_v5"
        version   = "1.2.3"
        subnet_id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/g/providers/Microsoft.Network/virtualNetworks/n/subnets/s"
        data_disk = { size_gib = 4094 }
        ssh_from  = ["192.0.2.0/24", "0.0.0.0/0"]
      }
    }
  }

  expect_failures = [var.machines]
}

run "a_tag_among_ranges_is_refused" {
  command = plan

  variables {
    machines = {
      a = {
        size      = "Standard_EC16es_v5"
        version   = "1.2.3"
        subnet_id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/g/providers/Microsoft.Network/virtualNetworks/n/subnets/s"
        data_disk = { size_gib = 4094 }
        open      = { x = { port = 1, protocol = "Tcp", from = ["VirtualNetwork", "192.0.2.0/24"] } }
      }
    }
  }

  expect_failures = [var.machines]
}

run "the_system_api_by_the_other_door_is_refused" {
  command = plan

  variables {
    machines = {
      a = {
        size      = "Standard_EC16es_v5"
        version   = "1.2.3"
        subnet_id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/g/providers/Microsoft.Network/virtualNetworks/n/subnets/s"
        data_disk = { size_gib = 4094 }
        open      = { api = { port = 3535, protocol = "Tcp" } }
      }
    }
  }

  expect_failures = [azurerm_network_security_group.machine["a"]]
}

run "a_version_without_a_release_is_refused" {
  command = plan

  variables {
    machines = {
      a = {
        size      = "Standard_EC16es_v5"
        version   = "1.2.4"
        subnet_id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/g/providers/Microsoft.Network/virtualNetworks/n/subnets/s"
        data_disk = { size_gib = 4094 }
      }
    }
  }

  expect_failures = [azurerm_linux_virtual_machine.machine["a"]]
}

run "an_image_without_a_data_disk_is_refused" {
  command = plan

  variables {
    releases = { "1.2.3" = "tests/release-without-disk" }
    machines = {
      a = {
        size      = "Standard_EC16es_v5"
        version   = "1.2.3"
        subnet_id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/g/providers/Microsoft.Network/virtualNetworks/n/subnets/s"
        data_disk = { size_gib = 4094 }
      }
    }
  }

  expect_failures = [azurerm_linux_virtual_machine.machine["a"]]
}

run "a_folder_that_is_no_release_is_refused" {
  command = plan

  variables {
    releases = { "1.2.3" = "tests" }
    machines = {
      a = {
        size      = "Standard_EC16es_v5"
        version   = "1.2.3"
        subnet_id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/g/providers/Microsoft.Network/virtualNetworks/n/subnets/s"
        data_disk = { size_gib = 4094 }
      }
    }
  }

  expect_failures = [var.releases]
}

run "a_version_that_a_gallery_does_not_take_is_refused" {
  command = plan

  variables {
    releases = { "1.2.3" = "tests/release", "untagged" = "tests/release" }
    machines = {
      a = {
        size      = "Standard_EC16es_v5"
        version   = "1.2.3"
        subnet_id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/g/providers/Microsoft.Network/virtualNetworks/n/subnets/s"
        data_disk = { size_gib = 4094 }
      }
    }
  }

  expect_failures = [var.releases]
}
