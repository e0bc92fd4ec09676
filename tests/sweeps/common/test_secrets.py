import pytest
from hypothesis import given
from hypothesis import strategies as st

from sweeps.common.secrets import has_secret, redacted
from sweeps.ledger.launch_settings import SweepSettings, without_password

HIDDEN = [
    "postgresql://u:hunter2@host/db",
    "postgresql://u:hu/nter2@host/db",
    "postgresql+psycopg2://u:hu#nter2@host/db",
    "postgresql://u:hu?nter2@host/db",
    "postgresql://u:8020/hunter2@host/db",
    "postgresql://db/mlflow?user=u&password=hunter2",
    "postgresql:///mlflow?host=db&password=hunter2",
    "mysql://db/mlflow?ssl_ca=x;passwd=hunter2",
    "mssql+pyodbc:///?odbc_connect=DRIVER%3Dx%3BUID%3Du%3BPWD%3Dhunter2",
    "http://u:hunter2@host:5000",
    "https://hunter2@host",
    "HTTPS://hun/ter2@host",
    "s3://id:hunter2@bucket/sweeps",
    "s3://bucket/sweeps?secret_key=hunter2",
    "s3://bucket/sweeps?secret%5Fkey=hunter2",
    "abfss://:hunter2@account/sweeps",
    "abfss://container@account/x?client_secret=hunter2",
]
SHOWN = [
    "http://127.0.0.1:5000",
    "https://mlflow.example.com:5000/path?y=1",
    "postgresql://mlflow@db.example.com/mlflow",
    "postgresql://mlflow@db/mlflow?sslmode=require&sslkey=/etc/client.key&passfile=/etc/pgpass",
    "sqlite:////home/me@home:8/runs.db",
    "file:///mnt/me@home:8/sweeps",
    "s3://bucket/sweeps?endpoint_override=minio.example.com:9000&scheme=https&region=x",
    "hdfs://user@host:8020/sweeps",
    "hdfs://host:8020/sweeps",
    "abfss://container@account.dfs.core.windows.net/sweeps",
    "databricks://profile",
    "databricks://scope:prefix",
    "/mnt/u:hunter2@host",
    "sweeps",
    "",
]


@pytest.mark.parametrize("uri", HIDDEN)
def test_a_secret_is_found_wherever_it_stands(uri):
    assert has_secret(uri)
    shown = redacted(f"MLflow: 'no answer from {uri}/api' at {uri}, tried twice")
    assert shown.startswith("MLflow: 'no answer from ")
    assert shown.endswith(" tried twice")
    assert "hun" not in shown
    assert "ter2" not in shown


@pytest.mark.parametrize("uri", SHOWN)
def test_addresses_without_a_secret_are_shown_as_they_are(uri):
    assert not has_secret(uri)
    assert redacted(f"at {uri}, see there") == f"at {uri}, see there"


@given(
    st.sampled_from(["postgresql", "mysql+pymysql", "http", "s3", "hdfs"]),
    st.text("ab12/?#&=;@:%+'\".,-", min_size=1),
)
def test_no_character_of_a_password_lets_it_through(scheme, password):
    uri = f"{scheme}://me:{password}@host:80/x"
    assert has_secret(uri)
    assert redacted(f"at {uri} now") == f"at {scheme}://... now"
    assert redacted(redacted(uri)) == redacted(uri)


@pytest.mark.parametrize("uri", HIDDEN)
def test_settings_for_others_name_no_address_with_a_secret(uri):
    assert "hun" not in without_password(SweepSettings(tracking_uri=uri)).text


@pytest.mark.parametrize(
    "text",
    [
        "password=hunter2",
        'login("me", password="hunter2")',
        "{'api_key': 'hunter2'}",
        "MLFLOW_TRACKING_PASSWORD=hunter2 is wrong",
        "Authorization: Bearer hunter2",
        "client_secret: hunter2, try again",
    ],
)
def test_what_is_called_a_secret_is_not_shown_in_a_text(text):
    assert "hunter2" not in redacted(text)
    assert redacted(redacted(text)) == redacted(text)


@pytest.mark.parametrize(
    "text", ["num_tokens=128", "KeyError: 'width'", "key = 3", "tokenizer: bpe", "a secretary said"]
)
def test_other_words_of_an_error_stay(text):
    assert redacted(text) == text
