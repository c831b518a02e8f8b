/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * TEST ONLY: the TDX guest interfaces in a machine that is not a TD, so that the code above them takes its real
 * path. /dev/tdx_guest gives TDREPORTs, configfs-tsm's provider tdx_guest gives quotes, and sysfs extends the RTMRs
 * as mainline does from 6.16 on. Public keys, one for HMAC and one for ECDSA, take the place of the hardware's; each
 * is a hash of its name. quote.py makes and checks the same bytes; make_tail.py writes the constants that both
 * share.
 */
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/slab.h>
#include <linux/tsm.h>
#include <linux/uaccess.h>
#include <crypto/ecdh.h>
#include <crypto/hash.h>
#include <crypto/internal/ecc.h>
#include <crypto/sha2.h>
#include <crypto/utils.h>
#include <uapi/linux/tdx-guest.h>

#include "quote_tail.h"

#define DIGITS        ECC_CURVE_NIST_P256_DIGITS
#define HASH_SIZE     SHA384_DIGEST_SIZE
#define HEADER_SIZE   48
#define BODY_SIZE     584
#define SIGNED_SIZE   (HEADER_SIZE + BODY_SIZE)
#define AUTH_SIZE     (64 + 64 + sizeof(quote_tail))
#define RTMRS         4

/* TDREPORT: TDX module ABI, TDREPORT_STRUCT */
enum {
	REPORT_CPUSVN = 16,
	REPORT_TCB_HASH = 32,
	REPORT_INFO_HASH = 80,
	REPORT_DATA = 128,
	REPORT_MAC = 224,
	REPORT_TCB = 256,
	REPORT_TCB_SIZE = 239,
	REPORT_INFO = 512,
	REPORT_INFO_SIZE = 512,
	REPORT_MRTD = REPORT_INFO + 16,
	REPORT_RTMR = REPORT_INFO + 208,
};

static DEFINE_MUTEX(lock);
static u8 rtmrs[RTMRS][HASH_SIZE];
static struct crypto_shash *sha384;

static bool extendable = true;
module_param(extendable, bool, 0444);
MODULE_PARM_DESC(extendable, "offer the RTMRs in sysfs, as kernels from 6.16 on do (default yes)");

static unsigned int busy;
module_param(busy, uint, 0644);
MODULE_PARM_DESC(busy, "so many further quotes fail with EBUSY");

static unsigned int broken;
module_param(broken, uint, 0644);
MODULE_PARM_DESC(broken, "so many further reports fail with EIO");

/* Counts a fault parameter down; true while there was something to count. */
static bool take(unsigned int *parameter)
{
	bool taken;

	mutex_lock(&lock);
	taken = *parameter > 0;
	if (taken)
		(*parameter)--;
	mutex_unlock(&lock);
	return taken;
}

/* RFC 2104 with SHA-256; the key is 32 bytes. */
static void mac(const u8 *key, const u8 *bytes, size_t size, u8 *out)
{
	struct sha256_state state;
	u8 pad[SHA256_BLOCK_SIZE];
	u8 inner[SHA256_DIGEST_SIZE];

	memset(pad, 0x36, sizeof(pad));
	crypto_xor(pad, key, 32);
	sha256_init(&state);
	sha256_update(&state, pad, sizeof(pad));
	sha256_update(&state, bytes, size);
	sha256_final(&state, inner);

	memset(pad, 0x5c, sizeof(pad));
	crypto_xor(pad, key, 32);
	sha256_init(&state);
	sha256_update(&state, pad, sizeof(pad));
	sha256_update(&state, inner, sizeof(inner));
	sha256_final(&state, out);
}

static int make_report(const u8 *reportdata, u8 *report)
{
	int r;

	if (take(&broken))
		return -EIO;
	memcpy(report, report_template, TDX_REPORT_LEN);
	memcpy(report + REPORT_DATA, reportdata, TDX_REPORTDATA_LEN);
	mutex_lock(&lock);
	memcpy(report + REPORT_RTMR, rtmrs, sizeof(rtmrs));
	mutex_unlock(&lock);
	r = crypto_shash_tfm_digest(sha384, report + REPORT_TCB, REPORT_TCB_SIZE, report + REPORT_TCB_HASH);
	if (r == 0)
		r = crypto_shash_tfm_digest(sha384, report + REPORT_INFO, REPORT_INFO_SIZE,
					    report + REPORT_INFO_HASH);
	mac(report_mac_key, report, REPORT_MAC, report + REPORT_MAC);
	return r;
}

/* left + right mod n, for left and right below n */
static void add_mod(u64 *result, const u64 *left, const u64 *right, const u64 *n)
{
	u64 rest[DIGITS];

	/* left - (n - right), and n back if that went below zero. */
	vli_sub(rest, n, right, DIGITS);
	if (vli_cmp(left, rest, DIGITS) >= 0) {
		vli_sub(result, left, rest, DIGITS);
	} else {
		vli_sub(rest, rest, left, DIGITS);
		vli_sub(result, n, rest, DIGITS);
	}
}

/* SHA-256 of the bytes as a number below n: a hash that is not below it is too rare to be met. */
static void hash_number(const u8 *hash, const u64 *n, u64 *result)
{
	ecc_digits_from_bytes(hash, SHA256_DIGEST_SIZE, result, DIGITS);
	if (vli_cmp(result, n, DIGITS) >= 0)
		vli_sub(result, result, n, DIGITS);
}

/*
 * ECDSA as FIPS 186-5 has it. The kernel only verifies, but its curve arithmetic is there: the nonce's public
 * key gives r, and the rest is arithmetic modulo n. The nonce is a hash of key and message: nothing random.
 */
static int sign(const u8 *bytes, size_t size, u8 *signature)
{
	const u64 *n = ecc_get_curve(ECC_CURVE_NIST_P256)->n;
	u64 key[DIGITS], nonce[DIGITS], point[2 * DIGITS], e[DIGITS], r[DIGITS], s[DIGITS];
	u8 hash[SHA256_DIGEST_SIZE];
	int error;

	sha256(bytes, size, hash);
	hash_number(hash, n, e);
	ecc_digits_from_bytes(attestation_key, sizeof(attestation_key), key, DIGITS);
	mac(attestation_key, hash, sizeof(hash), hash);
	hash_number(hash, n, nonce);

	error = ecc_make_pub_key(ECC_CURVE_NIST_P256, DIGITS, nonce, point);
	if (error)
		return error;
	/* ecc_make_pub_key gives big-endian bytes. */
	ecc_digits_from_bytes((const u8 *)point, sizeof(hash), r, DIGITS);
	if (vli_cmp(r, n, DIGITS) >= 0)
		vli_sub(r, r, n, DIGITS);

	vli_mod_mult_slow(s, r, key, n, DIGITS);
	add_mod(s, s, e, n);
	vli_mod_inv(nonce, nonce, n, DIGITS);
	vli_mod_mult_slow(s, s, nonce, n, DIGITS);
	if (vli_is_zero(r, DIGITS) || vli_is_zero(s, DIGITS))
		return -EIO;
	ecc_swap_digits(r, (u64 *)signature, DIGITS);
	ecc_swap_digits(s, (u64 *)(signature + 32), DIGITS);
	return 0;
}

/* The quote's body is the report's fields in another order: quote format v4, TD quote body. */
static void make_body(const u8 *report, u8 *body)
{
	/* SVN, SEAM's measurements and attributes; the TD's attributes and measurements; REPORTDATA. */
	memcpy(body, report + REPORT_TCB + 8, 16 + 2 * HASH_SIZE + 8);
	memcpy(body + 120, report + REPORT_INFO, 16 + 4 * HASH_SIZE + sizeof(rtmrs));
	memcpy(body + 520, report + REPORT_DATA, TDX_REPORTDATA_LEN);
}

static int report_new(struct tsm_report *report, void *data)
{
	size_t size = SIGNED_SIZE + 4 + AUTH_SIZE;
	u8 *bytes __free(kvfree) = NULL;
	u8 *tdreport __free(kfree) = NULL;
	int r;

	if (report->desc.inblob_len != TDX_REPORTDATA_LEN)
		return -EINVAL;
	if (take(&busy))
		return -EBUSY;
	tdreport = kzalloc(TDX_REPORT_LEN, GFP_KERNEL);
	bytes = kvzalloc(size, GFP_KERNEL);
	if (!tdreport || !bytes)
		return -ENOMEM;
	r = make_report(report->desc.inblob, tdreport);
	if (r)
		return r;

	memcpy(bytes, quote_header, HEADER_SIZE);
	make_body(tdreport, bytes + HEADER_SIZE);
	put_unaligned_le32(AUTH_SIZE, bytes + SIGNED_SIZE);
	r = sign(bytes, SIGNED_SIZE, bytes + SIGNED_SIZE + 4);
	if (r)
		return r;
	memcpy(bytes + SIGNED_SIZE + 4 + 64, attestation_public, sizeof(attestation_public));
	memcpy(bytes + SIGNED_SIZE + 4 + 128, quote_tail, sizeof(quote_tail));
	report->outblob = no_free_ptr(bytes);
	report->outblob_len = size;
	return 0;
}

static bool attribute_visible(int n)
{
	return n == TSM_REPORT_GENERATION || n == TSM_REPORT_PROVIDER;
}

static bool binary_visible(int n)
{
	return n == TSM_REPORT_INBLOB || n == TSM_REPORT_OUTBLOB;
}

static const struct tsm_ops tsm_ops = {
	.name = "tdx_guest",
	.report_new = report_new,
	.report_attr_visible = attribute_visible,
	.report_bin_attr_visible = binary_visible,
};

static long device_ioctl(struct file *file, unsigned int command, unsigned long argument)
{
	struct tdx_report_req *request __free(kfree) = NULL;
	int r;

	if (command != TDX_CMD_GET_REPORT0)
		return -ENOTTY;
	request = kmalloc(sizeof(*request), GFP_KERNEL);
	if (!request)
		return -ENOMEM;
	if (copy_from_user(request, (void __user *)argument, sizeof(request->reportdata)))
		return -EFAULT;
	r = make_report(request->reportdata, request->tdreport);
	if (r)
		return r;
	if (copy_to_user((u8 __user *)argument + sizeof(request->reportdata), request->tdreport,
			 sizeof(request->tdreport)))
		return -EFAULT;
	return 0;
}

static const struct file_operations device_operations = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = device_ioctl,
};

/* The measurement registers as in mainline's tsm-mr: exactly one whole digest at a time, a write extends. */
static ssize_t rtmr_read(struct file *file, struct kobject *kobject, struct bin_attribute *attribute,
			 char *buffer, loff_t offset, size_t size)
{
	mutex_lock(&lock);
	memcpy(buffer, rtmrs[(long)attribute->private] + offset, size);
	mutex_unlock(&lock);
	return size;
}

static ssize_t rtmr_write(struct file *file, struct kobject *kobject, struct bin_attribute *attribute,
			  char *buffer, loff_t offset, size_t size)
{
	u8 *rtmr = rtmrs[(long)attribute->private];
	u8 both[2 * HASH_SIZE];
	int r;

	if (offset || size != HASH_SIZE)
		return -EINVAL;
	mutex_lock(&lock);
	memcpy(both, rtmr, HASH_SIZE);
	memcpy(both + HASH_SIZE, buffer, HASH_SIZE);
	r = crypto_shash_tfm_digest(sha384, both, sizeof(both), rtmr);
	mutex_unlock(&lock);
	return r ? r : HASH_SIZE;
}

static ssize_t mrtd_read(struct file *file, struct kobject *kobject, struct bin_attribute *attribute,
			 char *buffer, loff_t offset, size_t size)
{
	memcpy(buffer, report_template + REPORT_MRTD + offset, size);
	return size;
}

#define RTMR(n, access) { \
	.attr = {.name = "rtmr" #n ":sha384", .mode = access}, .size = HASH_SIZE, .private = (void *)n, \
	.read = rtmr_read, .write = rtmr_write }

static struct bin_attribute registers[] = {
	RTMR(0, 0444),		/* the firmware's */
	RTMR(1, 0444),
	RTMR(2, 0644),
	RTMR(3, 0644),
	{.attr = {.name = "mrtd:sha384", .mode = 0444}, .size = HASH_SIZE, .read = mrtd_read},
};

static struct bin_attribute *register_list[] = {
	&registers[0], &registers[1], &registers[2], &registers[3], &registers[4], NULL,
};

static umode_t register_visible(struct kobject *kobject, struct bin_attribute *attribute, int n)
{
	return extendable ? attribute->attr.mode : 0;
}

static const struct attribute_group register_group = {
	.name = "measurements",
	.bin_attrs = register_list,
	.is_bin_visible = register_visible,
};

static const struct attribute_group *groups[] = {&register_group, NULL};

static struct miscdevice device = {
	.name = "tdx_guest",
	.minor = MISC_DYNAMIC_MINOR,
	.fops = &device_operations,
	.groups = groups,
	.mode = 0600,
};

static int __init tdx_test_init(void)
{
	int r;

	sha384 = crypto_alloc_shash("sha384", 0, 0);
	if (IS_ERR(sha384))
		return PTR_ERR(sha384);
	r = misc_register(&device);
	if (r)
		goto free;
	r = tsm_register(&tsm_ops, NULL);
	if (r)
		goto deregister;
	pr_warn("gantry_tdx_test: reports and quotes are for tests and prove nothing\n");
	return 0;

deregister:
	misc_deregister(&device);
free:
	crypto_free_shash(sha384);
	return r;
}

static void __exit tdx_test_exit(void)
{
	tsm_unregister(&tsm_ops);
	misc_deregister(&device);
	crypto_free_shash(sha384);
}

module_init(tdx_test_init);
module_exit(tdx_test_exit);
MODULE_DESCRIPTION("TDX guest interfaces for tests, on a machine that is no TD");
MODULE_LICENSE("GPL");
