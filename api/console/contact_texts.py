"""What the pages say that contacts read."""

from __future__ import annotations

from typing import Literal

CONTACT_TEXTS: dict[Literal["en", "es"], dict[str, str]] = {
    "en": {
        "preferences": "Email preferences",
        "preferences_heading": "Your emails from {sender}",
        "preferences_about": "Choose what we may send you. What you ask for yourself, such as a receipt or a new "
        "password, reaches you either way.",
        "preferences_legend": "I want to get",
        "preferences_saved": "Your choice is saved.",
        "preferences_left": "You are unsubscribed.",
        "preferences_outdated": "Not everything is saved: a text has changed meanwhile. Please read it and save again.",
        "now_on": "You get: {topics}.",
        "now_off": "You get none of these emails.",
        "now_left": "From now on you get no more news, tips or offers from us. There is nothing else to do. If you "
        "want to keep some of them, tick them below and save.",
        "has_left": "You have left all of these emails. To get some of them again, tick them and save.",
        "is_paused": "We have not heard from you for long, so we have stopped writing. Save your choice, and we begin "
        "again.",
        "is_stopped": "At the moment we send nothing at all to your address, whatever you choose here. If that is to "
        "change, write to {email}.",
        "not_confirmed_yet": "You have yet to confirm this one: tick it and save.",
        "by_ticking": "By ticking it you say: “{agreement}”",
        "save_button": "Save",
        "leave_button": "Leave all",
        "leave_about": "“Leave all” stops these emails, and all others that you have not asked for yourself, at once.",
        "bad_link_heading": "This link does not work",
        "bad_link_about": "It may have been cut when it was copied. Open the link in the email itself, or answer the "
        "email and ask us to unsubscribe you.",
        "confirm_ask_heading": "Please confirm your subscription",
        "confirm_ask_about": "Do you want to get this by email from {sender}? Nothing begins until you say so here.",
        "confirm_returning": "You had left all of our emails. If you confirm, you come back to these alone.",
        "confirm_button": "Yes, I agree",
        "confirm_confirmed_heading": "Thank you, it is confirmed",
        "confirm_confirmed_about": "Your subscription from {sender} begins now. You can leave it at any time.",
        "confirm_settled_heading": "There is nothing to confirm",
        "confirm_settled_about": "You have confirmed it already, or you have left it since.",
        "confirm_expired_heading": "This link has expired",
        "confirm_expired_about": "It worked for 30 days. Subscribe again where you did it before, and we will send you "
        "a new one.",
        "confirm_bad_heading": "This link does not work",
        "confirm_bad_about": "It may have been cut when it was copied. Open the link in the email itself.",
        "to_preferences": "Choose what you get",
    },
    "es": {
        "preferences": "Preferencias de correo",
        "preferences_heading": "Tus correos de {sender}",
        "preferences_about": "Elige qué podemos enviarte. Lo que pidas, como un recibo o una nueva contraseña, te "
        "llegará de todos modos.",
        "preferences_legend": "Quiero recibir",
        "preferences_saved": "Guardamos tu elección.",
        "preferences_left": "Te has dado de baja.",
        "preferences_outdated": "No se guardó todo: un texto cambió mientras tanto. Léelo y vuelve a guardar.",
        "now_on": "Recibes: {topics}.",
        "now_off": "No recibes ninguno de estos correos.",
        "now_left": "Desde ahora no te enviaremos más novedades, consejos ni ofertas. No tienes que hacer nada más. "
        "Si quieres conservar alguno, márcalo abajo y guarda.",
        "has_left": "Has dejado todos estos correos. Para volver a recibir alguno, márcalo y guarda.",
        "is_paused": "Hace mucho que no sabemos de ti, así que dejamos de escribirte. Guarda tu elección y retomamos.",
        "is_stopped": "Por ahora no enviamos nada a tu dirección, elijas lo que elijas aquí. Si quieres que eso "
        "cambie, escribe a {email}.",
        "not_confirmed_yet": "Este aún falta confirmarlo: márcalo y guarda.",
        "by_ticking": "Al marcarlo dices: «{agreement}»",
        "save_button": "Guardar",
        "leave_button": "Darme de baja de todo",
        "leave_about": "«Darme de baja de todo» detiene al instante estos correos y todo lo demás que no hayas pedido.",
        "bad_link_heading": "Este enlace no funciona",
        "bad_link_about": "Puede que se haya cortado al copiarlo. Abre el enlace desde el propio correo, o responde al "
        "correo y pide que te demos de baja.",
        "confirm_ask_heading": "Confirma tu suscripción",
        "confirm_ask_about": "¿Quieres recibir esto por correo de {sender}? Nada empieza hasta que lo digas aquí.",
        "confirm_returning": "Te habías dado de baja de todos nuestros correos. Si confirmas, vuelves solo a estos.",
        "confirm_button": "Sí, estoy de acuerdo",
        "confirm_confirmed_heading": "Gracias, está confirmado",
        "confirm_confirmed_about": "Tu suscripción a {sender} empieza ahora. Puedes dejarla en cualquier momento.",
        "confirm_settled_heading": "No hay nada que confirmar",
        "confirm_settled_about": "Ya lo confirmaste, o lo dejaste después.",
        "confirm_expired_heading": "Este enlace ha caducado",
        "confirm_expired_about": "Servía durante 30 días. Suscríbete de nuevo donde lo hiciste antes y te enviaremos "
        "otro.",
        "confirm_bad_heading": "Este enlace no funciona",
        "confirm_bad_about": "Puede que se haya cortado al copiarlo. Abre el enlace desde el propio correo.",
        "to_preferences": "Elegir qué recibir",
    },
}
