"""An S3-compatible server of a test: moto's, in memory, on a free port of 127.0.0.1.

Writes {"port", "key", "secret"} to the file that is its first argument once it can be asked. It has an empty bucket `lab`.
With a second argument it refuses whoever has not the key.
"""

import json
import os
import sys
import time

import boto3
import moto.settings
from moto.core.responses import ActionAuthenticatorMixin
from moto.server import ThreadedMotoServer

server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
server.start()
port = server.get_host_and_port()[1]


def client(service):
    return boto3.client(
        service,
        endpoint_url=f"http://127.0.0.1:{port}",
        region_name="us-east-1",
        aws_access_key_id="anybody",
        aws_secret_access_key="anything",
    )


client("s3").create_bucket(Bucket="lab")
key = {"AccessKeyId": "anybody", "SecretAccessKey": "anything"}
if len(sys.argv) > 2:
    iam = client("iam")
    iam.create_user(UserName="host")
    policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}
    iam.put_user_policy(UserName="host", PolicyName="files", PolicyDocument=json.dumps(policy))
    key = iam.create_access_key(UserName="host")["AccessKey"]
    moto.settings.INITIAL_NO_AUTH_ACTION_COUNT = 0
    ActionAuthenticatorMixin.request_count = 0
ready = {"port": port, "key": key["AccessKeyId"], "secret": key["SecretAccessKey"]}
with open(sys.argv[1] + ".new", "w") as file:
    json.dump(ready, file)
os.rename(sys.argv[1] + ".new", sys.argv[1])
while True:
    time.sleep(3600)
