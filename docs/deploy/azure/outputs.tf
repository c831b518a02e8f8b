# SPDX-License-Identifier: GPL-2.0-or-later

output "addresses" {
  description = "Machine => its address, which stays when the machine is replaced."
  value       = { for name, address in azurerm_public_ip.machine : name => address.ip_address }
}

output "api_urls" {
  description = "Machine => its System API, where the image has one."
  value = { for name, address in azurerm_public_ip.machine : name => "https://${address.ip_address}:${local.of_image[name].api_port}"
  if local.of_image[name].api_port != null }
}

output "expected_measurements" {
  description = "Machine => what its attestation must say: measurements.json of its release."
  value       = { for name, machine in var.machines : name => local.measurements[machine.version] if contains(keys(var.releases), machine.version) }
}

output "data_disk_ids" {
  description = "Machine => its data disk."
  value       = { for name, disk in azurerm_managed_disk.data : name => disk.id }
}
