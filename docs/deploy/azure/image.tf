# SPDX-License-Identifier: GPL-2.0-or-later
# From the folders that `make release` wrote to versions of an image in a gallery.

locals {
  vhd          = { for version, folder in var.releases : version => one(fileset(folder, "*.vhd")) }
  deploy       = { for version, folder in var.releases : version => jsondecode(file("${folder}/deploy.json")) }
  measurements = { for version, folder in var.releases : version => jsondecode(file("${folder}/measurements.json")) }
}

resource "azurerm_storage_account" "images" {
  name                            = var.storage_account_name
  resource_group_name             = var.resource_group_name
  location                        = var.location
  account_tier                    = "Standard"
  account_replication_type        = "LRS"
  min_tls_version                 = "TLS1_2"
  allow_nested_items_to_be_public = false
}

resource "azurerm_storage_container" "images" {
  name                  = "images"
  storage_account_id    = azurerm_storage_account.images.id
  container_access_type = "private"
}

# A fixed VHD is a page blob. The file's name has the beginning of the UKI's hash: other bytes are another blob.
resource "azurerm_storage_blob" "image" {
  for_each = var.releases

  name                   = local.vhd[each.key]
  storage_account_name   = azurerm_storage_account.images.name
  storage_container_name = azurerm_storage_container.images.name
  type                   = "Page"
  source                 = "${each.value}/${local.vhd[each.key]}"

  lifecycle {
    ignore_changes = [source] # where the folder lies on the host of whoever applies
  }
}

resource "azurerm_shared_image_gallery" "gallery" {
  name                = var.gallery_name
  resource_group_name = var.resource_group_name
  location            = var.location
}

# Generalized, since the machine itself reports that it is ready (stage azure).
resource "azurerm_shared_image" "image" {
  name                              = var.image_name
  gallery_name                      = azurerm_shared_image_gallery.gallery.name
  resource_group_name               = var.resource_group_name
  location                          = var.location
  os_type                           = "Linux"
  architecture                      = "x64"
  hyper_v_generation                = "V2"
  confidential_vm_supported         = true
  disk_controller_type_nvme_enabled = true

  identifier {
    publisher = var.identifier.publisher
    offer     = var.identifier.offer
    sku       = var.identifier.sku
  }
}

resource "azurerm_shared_image_version" "version" {
  for_each = var.releases

  name                = each.key
  gallery_name        = azurerm_shared_image_gallery.gallery.name
  image_name          = azurerm_shared_image.image.name
  resource_group_name = var.resource_group_name
  location            = var.location
  blob_uri            = azurerm_storage_blob.image[each.key].url
  storage_account_id  = azurerm_storage_account.images.id

  target_region {
    name                   = var.location
    regional_replica_count = 1
    storage_account_type   = "Premium_LRS"
  }
}
