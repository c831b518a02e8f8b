/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The signed policy: keys as openssl writes them, policy files good and bad, and the partition that holds one, in a
 * made-up copy of /sys.
 */
/* links: disk stages/lib init/lib */
/* libs: json-c mbedtls libseccomp */
#define _GNU_SOURCE
#include <sys/stat.h>

#include "address_space.h"
#include "stages/disk/approval.h"
#include "test.h"

#define HEX32 "abababababababababababababababababababababababababababababababab"

static char folder[64], why[APPROVAL_WHY_MAX];

static void shell(const char *command)
{
	setenv("FOLDER", folder, 1);
	CHECK_INT(system(command), 0);
}

static void begin(void)
{
	snprintf(folder, sizeof(folder), "/tmp/test-approval-XXXXXX");
	CHECK(mkdtemp(folder) != NULL);
	why[0] = '\0';
}

static void end(void)
{
	shell("rm -rf $FOLDER");
}

static int key_from(const char *command, struct tpm_approval *ret)
{
	char path[96], text[512];

	snprintf(path, sizeof(path), "%s/key.pem", folder);
	snprintf(text, sizeof(text), "cd $FOLDER && { %s; } >key.pem 2>/dev/null", command);
	shell(text);
	return approval_read_key(path, ret, why);
}

TEST(public_key_is_read_and_any_other_is_refused)
{
	struct tpm_approval approval = {0};
	uint8_t none[TPM_RSA_SIZE] = {0};

	begin();
	CHECK_INT(key_from("openssl genrsa -out private 2048 && openssl pkey -in private -pubout", &approval), 0);
	CHECK(memcmp(approval.modulus, none, sizeof(none)) != 0);
	CHECK(approval.modulus[0] & 0x80);
	CHECK_INT(key_from("openssl genrsa -out private 3072 && openssl pkey -in private -pubout", &approval), -EBADMSG);
	CHECK(strstr(why, "RSA public key of 2048 bits") != NULL);
	CHECK_INT(key_from("openssl ecparam -genkey -name prime256v1 -out private && openssl pkey -in private -pubout",
			   &approval), -EBADMSG);
	CHECK_INT(key_from("openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -pkeyopt rsa_keygen_pubexp:3 "
			   "-out private && openssl pkey -in private -pubout", &approval), -EBADMSG);
	CHECK_INT(key_from("echo nonsense", &approval), -EBADMSG);
	CHECK_INT(key_from("rm key.pem", &approval), -ENOENT);
	end();
}

static int parse(unsigned version, const char *fmt, const char *value)
{
	static struct tpm_approval approval;
	char signature[345], text[1024];

	memset(signature, 'A', sizeof(signature));
	memcpy(signature + 342, "==", 3);
	approval = (struct tpm_approval){.version = version};
	snprintf(text, sizeof(text), fmt, value ? value : signature);
	why[0] = '\0';
	return approval_parse(text, &approval, why);
}

TEST(policy_file_is_taken_whole_or_not_at_all)
{
	CHECK_INT(parse(3, "{\"version\":3,\"policy\":\"" HEX32 "\",\"signature\":\"%s\",\"pcrs\":{}}", NULL), 0);
	CHECK_INT(parse(4, "{\"version\":3,\"policy\":\"" HEX32 "\",\"signature\":\"%s\"}", NULL), -EBADMSG);
	CHECK(strstr(why, "is for version 3, but this image is version 4") != NULL);
	CHECK_INT(parse(3, "{\"version\":3,\"policy\":\"%s\",\"signature\":\"\"}", "abab"), -EBADMSG);
	CHECK(strstr(why, "digest is malformed") != NULL);
	CHECK_INT(parse(3, "{\"version\":3,\"policy\":\"" HEX32 "\",\"signature\":\"%s\"}", "AAEC"), -EBADMSG);
	CHECK(strstr(why, "signature is malformed") != NULL);
	CHECK_INT(parse(3, "{\"policy\":\"" HEX32 "\",\"signature\":\"%s\"}", NULL), -EBADMSG);
	CHECK(strstr(why, "no version") != NULL);
	CHECK_INT(parse(3, "%s", "[3]"), -EBADMSG);
	CHECK_INT(parse(3, "%s", "{\"version\":3,\"version\":3}"), -EBADMSG);
}

TEST(partition_is_known_by_its_name_and_without_one_there_is_no_policy)
{
	struct tpm_approval approval = {.version = 3};

	begin();
	shell("mkdir -p $FOLDER/class/block/sda1 $FOLDER/class/block/sda2 && cd $FOLDER/class/block && "
	      "printf 'DEVTYPE=partition\\nPARTNAME=gantry-policy-not\\n' >sda1/uevent && "
	      "printf 'DEVTYPE=disk\\n' >sda2/uevent");
	CHECK_INT(approval_find(folder, 0, &approval, why), -ENOENT);
	CHECK(strstr(why, "no partition gantry-policy") != NULL);
	shell("printf 'DEVTYPE=partition\\nPARTNAME=gantry-policy\\nPARTN=2\\n' >$FOLDER/class/block/sda2/uevent && "
	      "mv $FOLDER/class/block/sda2 $FOLDER/class/block/no-such-disk-2");
	CHECK(approval_find(folder, 0, &approval, why) < 0);
	CHECK(strstr(why, "/dev/no-such-disk-2") != NULL);
	CHECK(!approval.is_signed);
	CHECK_INT(approval_find(folder, 1, &approval, why), -ENOENT);
	/* Of several, each has its number. */
	shell("cd $FOLDER/class/block && for n in 3 1; do cp -r no-such-disk-2 no-such-disk-$n; done");
	for (unsigned i = 0; i < 3; i++) {
		char wanted[32];

		snprintf(wanted, sizeof(wanted), "/dev/no-such-disk-%u:", i + 1);
		CHECK_INT(approval_find(folder, i, &approval, why), -ENOENT);
		if (!strstr(why, wanted))
			FAIL("%s is not in %s", wanted, why);
	}
	end();
}
