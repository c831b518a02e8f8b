# SPDX-License-Identifier: GPL-2.0-or-later
# Each machine. A new version of the image replaces the machine; its data disk, its address and its network stay.

locals {
  caching = { for name, machine in var.machines : name => coalesce(machine.data_disk.caching,
  machine.data_disk.size_gib < 4095 && machine.data_disk.type != "PremiumV2_LRS" ? "ReadOnly" : "None") }
  performance_plus = { for name, machine in var.machines : name => coalesce(machine.data_disk.performance_plus,
  machine.data_disk.size_gib >= 513 && machine.data_disk.type != "PremiumV2_LRS") }

  # What the version says that is not there yet is said by a precondition.
  of_image = { for name, machine in var.machines : name => lookup(local.deploy, machine.version, { data_disk_lun = null, api_port = null }) }

  rules = { for name, machine in var.machines : name => concat(
    [for source in [machine.api_from] : { name = "system-api", port = local.of_image[name].api_port, protocol = "Tcp", from = source }
    if length(source) > 0 && local.of_image[name].api_port != null],
    [for source in [machine.ssh_from] : { name = "ssh", port = var.ssh_port, protocol = "Tcp", from = source } if length(source) > 0],
    [for label, rule in machine.open : { name = label, port = rule.port, protocol = rule.protocol, from = rule.from } if length(rule.from) > 0],
  ) }
}

resource "azurerm_public_ip" "machine" {
  for_each = var.machines

  name                = "${each.key}-address"
  resource_group_name = var.resource_group_name
  location            = var.location
  allocation_method   = "Static"
  sku                 = "Standard"
  zones               = each.value.zone == null ? null : [each.value.zone]
}

resource "azurerm_network_security_group" "machine" {
  for_each = var.machines

  name                = "${each.key}-ports"
  resource_group_name = var.resource_group_name
  location            = var.location

  dynamic "security_rule" {
    for_each = { for index, rule in local.rules[each.key] : index => rule }

    content {
      name                       = security_rule.value.name
      priority                   = 100 + security_rule.key
      direction                  = "Inbound"
      access                     = "Allow"
      protocol                   = security_rule.value.protocol
      source_port_range          = "*"
      source_address_prefix      = length(security_rule.value.from) == 1 ? security_rule.value.from[0] : null
      source_address_prefixes    = length(security_rule.value.from) == 1 ? null : security_rule.value.from
      destination_port_range     = security_rule.value.port
      destination_address_prefix = "*"
    }
  }

  # Without it, Azure's own rules let in whoever is in the same virtual network.
  security_rule {
    name                       = "nothing-else"
    priority                   = 4096
    direction                  = "Inbound"
    access                     = "Deny"
    protocol                   = "*"
    source_port_range          = "*"
    source_address_prefix      = "*"
    destination_port_range     = "*"
    destination_address_prefix = "*"
  }

  lifecycle {
    precondition {
      condition = alltrue([for rule in values(each.value.open) :
      !contains([tostring(coalesce(local.of_image[each.key].api_port, 0)), tostring(var.ssh_port)], tostring(rule.port)) || rule.protocol != "Tcp"])
      error_message = "The ports of the System API and of SSH are opened by api_from and ssh_from alone."
    }
    precondition {
      condition     = length(each.value.api_from) == 0 || local.of_image[each.key].api_port != null
      error_message = "api_from is given, and the boot.json of this version has no api that listens for others."
    }
  }
}

resource "azurerm_network_interface" "machine" {
  for_each = var.machines

  name                = "${each.key}-interface"
  resource_group_name = var.resource_group_name
  location            = var.location

  ip_configuration {
    name                          = "first"
    subnet_id                     = each.value.subnet_id
    private_ip_address_allocation = "Dynamic"
    public_ip_address_id          = azurerm_public_ip.machine[each.key].id
  }
}

resource "azurerm_network_interface_security_group_association" "machine" {
  for_each = var.machines

  network_interface_id      = azurerm_network_interface.machine[each.key].id
  network_security_group_id = azurerm_network_security_group.machine[each.key].id
}

resource "azurerm_linux_virtual_machine" "machine" {
  for_each = var.machines

  name                  = each.key
  resource_group_name   = var.resource_group_name
  location              = var.location
  zone                  = each.value.zone
  size                  = each.value.size
  disk_controller_type  = each.value.disk_controller_type
  network_interface_ids = [azurerm_network_interface.machine[each.key].id]
  source_image_id       = try(azurerm_shared_image_version.version[each.value.version].id, null)

  # The UKI is measured, not signed for the firmware: PCR 4, 9 and 11 say what runs.
  secure_boot_enabled = false
  vtpm_enabled        = true

  # There is no agent, and nobody logs in: azurerm wants a user all the same.
  provision_vm_agent              = false
  allow_extension_operations      = false
  disable_password_authentication = true
  admin_username                  = "nobody-logs-in"

  admin_ssh_key {
    username   = "nobody-logs-in"
    public_key = var.admin_ssh_public_key
  }

  # The state of the vTPM is encrypted; the boot disk is public and measured.
  os_disk {
    name                     = "${each.key}-boot"
    caching                  = "ReadOnly"
    storage_account_type     = "Premium_LRS"
    security_encryption_type = "VMGuestStateOnly"
  }

  # No boot_diagnostics: the console's text would go to a storage account.

  depends_on = [azurerm_network_interface_security_group_association.machine]

  lifecycle {
    precondition {
      condition     = contains(keys(var.releases), each.value.version)
      error_message = "No release has this machine's version: add it to releases."
    }
    precondition {
      condition     = local.of_image[each.key].data_disk_lun != null || !contains(keys(var.releases), each.value.version)
      error_message = "The boot.json of this version has no stage disk with a lun: its machine would never find the data disk."
    }
  }
}

# A life of its own: no change of the machine may destroy it, nor one here. To give it up, remove prevent_destroy by hand.
resource "azurerm_managed_disk" "data" {
  for_each = var.machines

  name                          = "${each.key}-data"
  resource_group_name           = var.resource_group_name
  location                      = var.location
  zone                          = each.value.zone
  create_option                 = "Empty"
  storage_account_type          = each.value.data_disk.type
  disk_size_gb                  = each.value.data_disk.size_gib
  tier                          = each.value.data_disk.tier
  performance_plus_enabled      = local.performance_plus[each.key]
  logical_sector_size           = each.value.data_disk.type == "PremiumV2_LRS" ? 512 : null
  network_access_policy         = "DenyAll"
  public_network_access_enabled = false

  lifecycle {
    prevent_destroy = true
    # one that was restored from a snapshot stays; performance plus is decided when a disk is made
    ignore_changes = [create_option, source_resource_id, performance_plus_enabled]
  }
}

# After the machine, and so after its report that it is ready: stage disk waits for it.
resource "azurerm_virtual_machine_data_disk_attachment" "data" {
  for_each = var.machines

  managed_disk_id    = azurerm_managed_disk.data[each.key].id
  virtual_machine_id = azurerm_linux_virtual_machine.machine[each.key].id
  lun                = local.of_image[each.key].data_disk_lun
  caching            = local.caching[each.key]
}
