/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The certificate is like the one of the older System API (P-256, O=Acme, 365 days, 128-bit serial, a CA that serves
 * itself, a PKCS#8 key), so that clients which pin or trust one such certificate treat ours alike.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <mbedtls/ecp.h>
#include <mbedtls/oid.h>
#include <mbedtls/pem.h>
#include <mbedtls/pk.h>
#include <mbedtls/platform_util.h>
#include <mbedtls/x509_crt.h>
#include <psa/crypto.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>

#include "identity.h"

#define CERTIFICATE_NAME "O=Acme"
#define CERTIFICATE_DAYS 365
#define BACKDATE_S       3600	/* for clients whose clock is a little behind */
#define SERIAL_SIZE      16

int identity_random(void *with, unsigned char *out, size_t size)
{
	(void)with;
	while (size > 0) {
		ssize_t n = getrandom(out, size, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return MBEDTLS_ERR_ECP_RANDOM_FAILED;
		out += n;
		size -= (size_t)n;
	}
	return 0;
}

static void set_name(mbedtls_x509_san_list *san, const char *host, unsigned char address[16])
{
	san->node.type = MBEDTLS_X509_SAN_DNS_NAME;
	san->node.san.unstructured_name.p = (unsigned char *)host;
	san->node.san.unstructured_name.len = strlen(host);
	if (inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1) {
		san->node.type = MBEDTLS_X509_SAN_IP_ADDRESS;
		san->node.san.unstructured_name.p = address;
		san->node.san.unstructured_name.len = strchr(host, ':') ? 16 : 4;
	}
}

static int set_names(mbedtls_x509write_cert *c, char hosts[][API_HOST_MAX], size_t n)
{
	static mbedtls_x509_san_list list[API_HOSTS_MAX];
	static unsigned char addresses[API_HOSTS_MAX][16];

	for (size_t i = 0; i < n; i++) {	/* mbedTLS writes them from the last to the first */
		set_name(&list[i], hosts[i], addresses[i]);
		list[i].next = i > 0 ? &list[i - 1] : NULL;
	}
	return mbedtls_x509write_crt_set_subject_alternative_name(c, &list[n - 1]);
}

static int set_times(mbedtls_x509write_cert *c)
{
	time_t from = time(NULL) - BACKDATE_S, to = from + CERTIFICATE_DAYS * 86400;
	char not_before[16], not_after[16];
	struct tm tm;

	strftime(not_before, sizeof(not_before), "%Y%m%d%H%M%S", gmtime_r(&from, &tm));
	strftime(not_after, sizeof(not_after), "%Y%m%d%H%M%S", gmtime_r(&to, &tm));
	return mbedtls_x509write_crt_set_validity(c, not_before, not_after);
}

/* A positive 128-bit number (RFC 5280 4.1.2.2). */
static int set_serial(mbedtls_x509write_cert *c)
{
	unsigned char serial[SERIAL_SIZE];
	int r = identity_random(NULL, serial, sizeof(serial));

	serial[0] = (unsigned char)((serial[0] & 0x7f) | 0x40);
	return r < 0 ? r : mbedtls_x509write_crt_set_serial_raw(c, serial, sizeof(serial));
}

static int set_extensions(mbedtls_x509write_cert *c)
{
	mbedtls_asn1_sequence server_auth = {
		.buf = {.tag = MBEDTLS_ASN1_OID, .len = MBEDTLS_OID_SIZE(MBEDTLS_OID_SERVER_AUTH),
			.p = (unsigned char *)MBEDTLS_OID_SERVER_AUTH}};
	int r = mbedtls_x509write_crt_set_basic_constraints(c, 1, -1);

	if (r == 0)
		r = mbedtls_x509write_crt_set_key_usage(c, MBEDTLS_X509_KU_DIGITAL_SIGNATURE |
							   MBEDTLS_X509_KU_KEY_CERT_SIGN);
	if (r == 0)
		r = mbedtls_x509write_crt_set_ext_key_usage(c, &server_auth);
	if (r == 0)
		r = mbedtls_x509write_crt_set_subject_key_identifier(c);
	return r;
}

static int write_certificate(mbedtls_pk_context *key, char hosts[][API_HOST_MAX], size_t n, char *pem, size_t size)
{
	mbedtls_x509write_cert c;
	int r;

	mbedtls_x509write_crt_init(&c);
	mbedtls_x509write_crt_set_version(&c, MBEDTLS_X509_CRT_VERSION_3);
	mbedtls_x509write_crt_set_md_alg(&c, MBEDTLS_MD_SHA256);
	mbedtls_x509write_crt_set_subject_key(&c, key);
	mbedtls_x509write_crt_set_issuer_key(&c, key);
	r = mbedtls_x509write_crt_set_subject_name(&c, CERTIFICATE_NAME);
	if (r == 0)
		r = mbedtls_x509write_crt_set_issuer_name(&c, CERTIFICATE_NAME);
	if (r == 0)
		r = set_serial(&c);
	if (r == 0)
		r = set_times(&c);
	if (r == 0)
		r = set_extensions(&c);
	if (r == 0)
		r = set_names(&c, hosts, n);
	if (r == 0)
		r = mbedtls_x509write_crt_pem(&c, (unsigned char *)pem, size, identity_random, NULL);
	mbedtls_x509write_crt_free(&c);
	return r;
}

/* PrivateKeyInfo (RFC 5208) around ECPrivateKey (RFC 5915) of P-256: all lengths are constants. */
static int write_key(const mbedtls_ecp_keypair *key, char *pem, size_t size)
{
	static const unsigned char before_secret[] = {
		0x30, 0x81, 0x87, 0x02, 0x01, 0x00, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02,
		0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x04, 0x6d, 0x30, 0x6b, 0x02,
		0x01, 0x01, 0x04, 0x20};
	static const unsigned char before_point[] = {0xa1, 0x44, 0x03, 0x42, 0x00};
	unsigned char der[sizeof(before_secret) + 32 + sizeof(before_point) + 65], *at = der;
	size_t n;
	int r;

	memcpy(at, before_secret, sizeof(before_secret));
	at += sizeof(before_secret);
	r = mbedtls_ecp_write_key_ext(key, &n, at, 32);
	at += 32;
	memcpy(at, before_point, sizeof(before_point));
	at += sizeof(before_point);
	if (r == 0)
		r = mbedtls_ecp_write_public_key(key, MBEDTLS_ECP_PF_UNCOMPRESSED, &n, at, 65);
	if (r == 0)
		r = mbedtls_pem_write_buffer("-----BEGIN PRIVATE KEY-----\n", "-----END PRIVATE KEY-----\n", der,
					     sizeof(der), (unsigned char *)pem, size, &n);
	mbedtls_platform_zeroize(der, sizeof(der));
	return r;
}

int identity_create(char hosts[][API_HOST_MAX], size_t n, struct identity *ret)
{
	mbedtls_pk_context key;
	int r;

	mbedtls_pk_init(&key);
	r = mbedtls_pk_setup(&key, mbedtls_pk_info_from_type(MBEDTLS_PK_ECKEY));
	if (r == 0)
		r = mbedtls_ecp_gen_key(MBEDTLS_ECP_DP_SECP256R1, mbedtls_pk_ec(key), identity_random, NULL);
	if (r == 0)
		r = write_certificate(&key, hosts, n, ret->certificate, sizeof(ret->certificate));
	if (r == 0)
		r = write_key(mbedtls_pk_ec(key), ret->key, sizeof(ret->key));
	mbedtls_pk_free(&key);
	return r;
}

int identity_renew(char hosts[][API_HOST_MAX], size_t n, struct identity *identity)
{
	static char pem[IDENTITY_PEM_MAX];
	mbedtls_pk_context key;
	int r;

	mbedtls_pk_init(&key);
	r = mbedtls_pk_parse_key(&key, (const unsigned char *)identity->key, strlen(identity->key) + 1, NULL, 0,
				 identity_random, NULL);
	if (r == 0)
		r = write_certificate(&key, hosts, n, pem, sizeof(pem));
	if (r == 0)
		memcpy(identity->certificate, pem, sizeof(pem));
	mbedtls_pk_free(&key);
	return r;
}

static int64_t seconds_of(const mbedtls_x509_time *t)
{
	struct tm tm = {.tm_year = t->year - 1900, .tm_mon = t->mon - 1, .tm_mday = t->day, .tm_hour = t->hour,
			.tm_min = t->min, .tm_sec = t->sec};

	return timegm(&tm);
}

struct identity_validity identity_validity(const mbedtls_x509_crt *certificate)
{
	return (struct identity_validity){seconds_of(&certificate->valid_from), seconds_of(&certificate->valid_to)};
}

bool identity_is_made(const mbedtls_x509_crt *certificate)
{
	char name[32];

	return certificate->subject_raw.len == certificate->issuer_raw.len &&
	       !memcmp(certificate->subject_raw.p, certificate->issuer_raw.p, certificate->subject_raw.len) &&
	       mbedtls_x509_dn_gets(name, sizeof(name), &certificate->subject) > 0 && !strcmp(name, CERTIFICATE_NAME);
}

bool identity_is_due(const struct identity_validity *validity, int64_t now_s)
{
	return now_s < validity->begin_s || now_s >= validity->end_s - IDENTITY_RENEW_S;
}

int identity_parse(const char *certificate, const char *key, mbedtls_x509_crt *ret_certificate,
		   mbedtls_pk_context *ret_key)
{
	int r = mbedtls_x509_crt_parse(ret_certificate, (const unsigned char *)certificate, strlen(certificate) + 1);

	if (r > 0)	/* so many of them could not be read */
		r = MBEDTLS_ERR_X509_INVALID_FORMAT;
	if (r == 0)
		r = mbedtls_pk_parse_key(ret_key, (const unsigned char *)key, strlen(key) + 1, NULL, 0, identity_random,
					 NULL);
	if (r == 0)
		r = mbedtls_pk_check_pair(&ret_certificate->pk, ret_key, identity_random, NULL);
	return r;
}
