/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The certificate is what the older System API makes (P-256, O=Acme, 365 days, 128-bit serial, a CA that serves
 * itself), so that clients which pin or trust one such certificate treat ours alike.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <mbedtls/ecp.h>
#include <mbedtls/oid.h>
#include <mbedtls/pk.h>
#include <mbedtls/sha256.h>
#include <mbedtls/x509_crt.h>
#include <psa/crypto.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>

#include "tls.h"

#define CERTIFICATE_DAYS 365
#define BACKDATE_S       3600	/* for clients whose clock is a little behind */
#define SERIAL_SIZE      16

static mbedtls_ssl_config config;
static mbedtls_x509_crt certificate;
static mbedtls_pk_context key;

static const int suites[] = {
	MBEDTLS_TLS1_3_AES_128_GCM_SHA256,
	MBEDTLS_TLS1_3_AES_256_GCM_SHA384,
	MBEDTLS_TLS1_3_CHACHA20_POLY1305_SHA256,
	MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
	MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
	MBEDTLS_TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
	0,
};

static const uint16_t groups[] = {
	MBEDTLS_SSL_IANA_TLS_GROUP_X25519,
	MBEDTLS_SSL_IANA_TLS_GROUP_SECP256R1,
	MBEDTLS_SSL_IANA_TLS_GROUP_SECP384R1,
	MBEDTLS_SSL_IANA_TLS_GROUP_NONE,
};

static const char *protocols[] = {"http/1.1", NULL};

static int random_bytes(void *with, unsigned char *out, size_t size)
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

static int set_names(mbedtls_x509write_cert *c, const struct api_options *options)
{
	static mbedtls_x509_san_list list[API_HOSTS_MAX];
	static unsigned char addresses[API_HOSTS_MAX][16];

	for (size_t i = 0; i < options->n_hosts; i++) {	/* mbedTLS writes them from the last to the first */
		set_name(&list[i], options->hosts[i], addresses[i]);
		list[i].next = i > 0 ? &list[i - 1] : NULL;
	}
	return mbedtls_x509write_crt_set_subject_alternative_name(c, &list[options->n_hosts - 1]);
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
	int r = random_bytes(NULL, serial, sizeof(serial));

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

static int make_certificate(const struct api_options *options)
{
	unsigned char der[8192];
	mbedtls_x509write_cert c;
	int r;

	mbedtls_x509write_crt_init(&c);
	mbedtls_x509write_crt_set_version(&c, MBEDTLS_X509_CRT_VERSION_3);
	mbedtls_x509write_crt_set_md_alg(&c, MBEDTLS_MD_SHA256);
	mbedtls_x509write_crt_set_subject_key(&c, &key);
	mbedtls_x509write_crt_set_issuer_key(&c, &key);
	r = mbedtls_x509write_crt_set_subject_name(&c, "O=Acme");
	if (r == 0)
		r = mbedtls_x509write_crt_set_issuer_name(&c, "O=Acme");
	if (r == 0)
		r = set_serial(&c);
	if (r == 0)
		r = set_times(&c);
	if (r == 0)
		r = set_extensions(&c);
	if (r == 0)
		r = set_names(&c, options);
	if (r == 0)
		r = mbedtls_x509write_crt_der(&c, der, sizeof(der), random_bytes, NULL);
	if (r > 0)	/* written to the end of the buffer */
		r = mbedtls_x509_crt_parse_der(&certificate, der + sizeof(der) - r, (size_t)r);
	mbedtls_x509write_crt_free(&c);
	return r;
}

static int make_key(void)
{
	int r = mbedtls_pk_setup(&key, mbedtls_pk_info_from_type(MBEDTLS_PK_ECKEY));

	return r < 0 ? r : mbedtls_ecp_gen_key(MBEDTLS_ECP_DP_SECP256R1, mbedtls_pk_ec(key), random_bytes, NULL);
}

static int configure(void)
{
	int r = mbedtls_ssl_config_defaults(&config, MBEDTLS_SSL_IS_SERVER, MBEDTLS_SSL_TRANSPORT_STREAM,
					    MBEDTLS_SSL_PRESET_DEFAULT);

	if (r < 0)
		return r;
	mbedtls_ssl_conf_rng(&config, random_bytes, NULL);
	mbedtls_ssl_conf_min_tls_version(&config, MBEDTLS_SSL_VERSION_TLS1_2);
	mbedtls_ssl_conf_max_tls_version(&config, MBEDTLS_SSL_VERSION_TLS1_3);
	mbedtls_ssl_conf_ciphersuites(&config, suites);
	mbedtls_ssl_conf_groups(&config, groups);
	mbedtls_ssl_conf_authmode(&config, MBEDTLS_SSL_VERIFY_NONE);
#ifdef MBEDTLS_SSL_RENEGOTIATION
	mbedtls_ssl_conf_renegotiation(&config, MBEDTLS_SSL_RENEGOTIATION_DISABLED);
#endif
	r = mbedtls_ssl_conf_alpn_protocols(&config, protocols);
	return r < 0 ? r : mbedtls_ssl_conf_own_cert(&config, &certificate, &key);
}

int tls_init(const struct api_options *options, char *fingerprint)
{
	unsigned char digest[32];
	int r;

	if (psa_crypto_init() != PSA_SUCCESS)
		return MBEDTLS_ERR_SSL_INTERNAL_ERROR;
	mbedtls_ssl_config_init(&config);
	mbedtls_x509_crt_init(&certificate);
	mbedtls_pk_init(&key);
	r = make_key();
	if (r == 0)
		r = make_certificate(options);
	if (r == 0)
		r = configure();
	if (r == 0)
		r = mbedtls_sha256(certificate.raw.p, certificate.raw.len, digest, 0);
	for (size_t i = 0; r == 0 && i < sizeof(digest); i++)
		snprintf(fingerprint + 2 * i, 3, "%02x", digest[i]);
	return r;
}

static int write_socket(void *with, const unsigned char *bytes, size_t size)
{
	ssize_t n = send(*(int *)with, bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (n >= 0)
		return (int)n;
	return errno == EAGAIN || errno == EINTR ? MBEDTLS_ERR_SSL_WANT_WRITE : MBEDTLS_ERR_SSL_CONN_EOF;
}

static int read_socket(void *with, unsigned char *bytes, size_t size)
{
	ssize_t n = recv(*(int *)with, bytes, size, MSG_DONTWAIT);

	if (n >= 0)
		return (int)n;
	return errno == EAGAIN || errno == EINTR ? MBEDTLS_ERR_SSL_WANT_READ : MBEDTLS_ERR_SSL_CONN_EOF;
}

int tls_open(mbedtls_ssl_context *ssl, int *fd)
{
	int r;

	mbedtls_ssl_init(ssl);
	r = mbedtls_ssl_setup(ssl, &config);
	if (r == 0)
		mbedtls_ssl_set_bio(ssl, fd, write_socket, read_socket, NULL);
	return r;
}
