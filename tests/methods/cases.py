"""The methods of the battery, by name."""

from methods.aim_battery_test import CASE as aim
from methods.beit_battery_test import CASE as beit
from methods.capi_battery_test import CASE as capi
from methods.colorization_battery_test import CASE as colorization
from methods.context_encoder_battery_test import CASE as context_encoder
from methods.data2vec2_battery_test import CASE as data2vec2
from methods.data2vec_battery_test import CASE as data2vec
from methods.denoising_autoencoder_battery_test import (
    CASE as denoising_autoencoder,
)
from methods.dino_battery_test import CASE as dino
from methods.dinov2_battery_test import CASE as dinov2
from methods.discrete_vae_battery_test import CASE as discrete_vae
from methods.ibot_battery_test import CASE as ibot
from methods.ijepa_battery_test import CASE as ijepa
from methods.image_gpt_battery_test import CASE as image_gpt
from methods.mae_battery_test import CASE as mae
from methods.relative_position_battery_test import CASE as relative_position
from methods.rotation_battery_test import CASE as rotation
from methods.simclr_battery_test import CASE as simclr
from methods.simmim_battery_test import CASE as simmim
from methods.swav_battery_test import CASE as swav

CASES = {
    "aim": aim,
    "beit": beit,
    "capi": capi,
    "colorization": colorization,
    "context_encoder": context_encoder,
    "data2vec": data2vec,
    "data2vec2": data2vec2,
    "denoising_autoencoder": denoising_autoencoder,
    "dino": dino,
    "dinov2": dinov2,
    "discrete_vae": discrete_vae,
    "ibot": ibot,
    "ijepa": ijepa,
    "image_gpt": image_gpt,
    "mae": mae,
    "relative_position": relative_position,
    "rotation": rotation,
    "simclr": simclr,
    "simmim": simmim,
    "swav": swav,
}
